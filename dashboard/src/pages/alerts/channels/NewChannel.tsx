/** Steps that add a notification channel: its type, its settings, and the signing secret of a webhook, which is shown once. */
import { Button, CopyButton, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { IconCheck, IconChevronLeft, IconCopy } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";
import type { Channel } from "@/api/alerts";
import { providersQuery } from "@/api/session";
import { Banner } from "@/components/feedback/Banner";
import pages from "../../pages.module.css";
import classes from "../alerts.module.css";
import { TypeChoice } from "../TypeChoice";
import { ChannelForm } from "./ChannelForm";
import { CHANNEL_TYPES, type ChannelType, NO_MAIL } from "./channel-types";

interface Props {
  onChanged: (isChanged: boolean) => void;
  onDone: (channel: Channel) => void;
  /** Goes back to the form that lacks a channel. */
  onBack?: () => void;
}

export function NewChannel({ onChanged, onDone, onBack }: Props) {
  const { data: ways } = useQuery(providersQuery);
  const [type, setType] = useState<ChannelType | null>(null);
  const [created, setCreated] = useState<{ channel: Channel; secret: string } | null>(null);
  if (created !== null) return <Secret value={created.secret} onSaved={() => onDone(created.channel)} />;
  if (type === null) {
    return (
      <Steps onBack={onBack}>
        <TypeChoice
          label="Type of the channel"
          choices={CHANNEL_TYPES}
          problemOf={(value) => (value === "email" && ways?.mail === 0 ? NO_MAIL : null)}
          onChoose={setType}
        />
      </Steps>
    );
  }
  return (
    <Steps onBack={onBack}>
      <ChannelForm
        key={type}
        type={type}
        onChanged={onChanged}
        onType={() => setType(null)}
        onDone={({ channel, signing_secret: secret }) => {
          onChanged(false);
          if (secret) setCreated({ channel, secret });
          else onDone(channel);
        }}
      />
    </Steps>
  );
}

function Steps({ onBack, children }: { onBack: (() => void) | undefined; children: ReactNode }) {
  return (
    <div className="stack">
      {onBack && (
        <UnstyledButton className="row link" onClick={onBack}>
          <IconChevronLeft size={15} stroke={1.7} /> Back to the rule
        </UnstyledButton>
      )}
      {children}
    </div>
  );
}

function Secret({ value, onSaved }: { value: string; onSaved: () => void }) {
  return (
    <div className="stack">
      <Banner tone="careful">
        The signing secret is shown once. Your program verifies notifications with it.
      </Banner>
      <code className={classes.secret} aria-label="Signing secret">
        {value}
      </code>
      <div className={pages.dialogActions}>
        <CopyButton value={value} timeout={1500}>
          {({ copied, copy }) => (
            <Button
              leftSection={copied ? <IconCheck size={15} /> : <IconCopy size={15} stroke={1.7} />}
              onClick={copy}
            >
              {copied ? "Copied" : "Copy secret"}
            </Button>
          )}
        </CopyButton>
        <Button variant="filled" onClick={onSaved}>
          It is saved
        </Button>
      </div>
    </div>
  );
}
