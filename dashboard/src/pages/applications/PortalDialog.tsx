/** Portal of one application: an address to open it, the element that shows it in a page, and its appearance. */
import { Button, CopyButton, Modal, Switch, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { IconCheck, IconCopy, IconExternalLink } from "@tabler/icons-react";
import { useState } from "react";
import { type Application, createPortalAccess, updateApplication } from "@/api/applications";
import { queryClient } from "@/api/client";
import { useMay } from "@/api/session";
import { CodeBlock } from "@/components/code/CodeBlock";
import { ActError } from "@/components/feedback/ErrorState";
import { toast } from "@/components/feedback/toast";
import { themeBody, THEME_FIELDS, themeForm } from "@/components/portal/theme-form";
import { ThemeFields } from "@/components/portal/ThemeFields";
import { span } from "@/lib/words/durations";
import { SaveForm } from "../settings/form";
import classes from "./Applications.module.css";
import { snippetOf } from "./portal-snippet";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  application: Application;
}

export function PortalDialog({ isOpen, onClose, application }: Props) {
  const mayEdit = useMay("applications:write");
  return (
    <Modal opened={isOpen} onClose={onClose} size={640} title={`Portal of ${application.name}`}>
      {isOpen && (
        <div className="stack">
          <Access application={application} />
          {mayEdit && <Appearance application={application} />}
        </div>
      )}
    </Modal>
  );
}

function Access({ application }: { application: Application }) {
  const [isReadOnly, setReadOnly] = useState(false);
  const creating = useMutation({ mutationFn: () => createPortalAccess(application.id, isReadOnly) });
  const access = creating.data;
  if (access === undefined) {
    return (
      <section className="stack">
        <p className="ink-2">
          A page for this customer: its endpoints, its messages, your event types. Your server creates an
          address for each visit; create one here to look at it.
        </p>
        <Switch
          label="Read only"
          description="The portal shows everything except secrets, and changes nothing."
          checked={isReadOnly}
          onChange={(event) => setReadOnly(event.currentTarget.checked)}
        />
        <ActError error={creating.error} />
        <div>
          <Button
            variant="filled"
            data-autofocus
            loading={creating.isPending}
            disabled={application.status !== "active"}
            onClick={() => creating.mutate()}
          >
            Create an address
          </Button>
        </div>
        {application.status !== "active" && (
          <p className="small ink-2">The application is disabled, and so is its portal. Enable it first.</p>
        )}
      </section>
    );
  }
  return (
    <section className="stack-small">
      <TextInput
        label="Address"
        description={`Valid for ${span(access.expires_in)}; the open portal renews it for a day. Whoever has it ${isReadOnly ? "sees what this customer sees" : "acts as this customer"}.`}
        readOnly
        classNames={{ input: "mono" }}
        value={access.url}
        onFocus={(event) => event.currentTarget.select()}
      />
      <div className="row">
        <CopyButton value={access.url} timeout={1500}>
          {({ copied, copy }) => (
            <Button
              leftSection={
                copied ? <IconCheck size={15} stroke={1.8} /> : <IconCopy size={15} stroke={1.6} />
              }
              onClick={copy}
            >
              {copied ? "Copied" : "Copy"}
            </Button>
          )}
        </CopyButton>
        <Button
          component="a"
          href={access.url}
          target="_blank"
          rel="noopener noreferrer"
          leftSection={<IconExternalLink size={15} stroke={1.6} />}
        >
          Open
        </Button>
      </div>
      <h3>Show it in your page</h3>
      <p className="small ink-2">
        The address comes from your server, by <code>POST …/portal-access</code>. The origin of the page has
        to be among those of the environment.
      </p>
      <div className={classes.snippet}>
        <CodeBlock text={snippetOf(access.url)} isIndented={false} />
      </div>
    </section>
  );
}

function Appearance({ application }: { application: Application }) {
  const [theme, setTheme] = useState(() => themeForm(application.portal_theme));
  return (
    <section className={classes.appearance}>
      <h3>Appearance for this customer</h3>
      <SaveForm
        verb="Save appearance"
        fields={[...THEME_FIELDS]}
        save={async () => {
          await updateApplication(application.id, { portal_theme: themeBody(theme) });
          await queryClient.invalidateQueries({ queryKey: ["applications"] });
          toast("The appearance is saved.");
        }}
      >
        {(problemOf) => (
          <ThemeFields
            theme={theme}
            onChange={setTheme}
            problemOf={problemOf}
            usual="those of the environment"
          />
        )}
      </SaveForm>
    </section>
  );
}
