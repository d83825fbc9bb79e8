/** Notification channels of the environment, one card each. */
import { Button } from "@mantine/core";
import { IconBellRinging } from "@tabler/icons-react";
import { useState } from "react";
import { type AlertRule, type Channel, deleteChannel, refreshChannels } from "@/api/alerts";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { EmptyState } from "@/components/feedback/EmptyState";
import { Card } from "@/components/page/Card";
import { listOf } from "@/lib/json/json";
import { counted } from "@/lib/words/numbers";
import classes from "../alerts.module.css";
import { ChannelCard } from "./ChannelCard";

interface Props {
  channels: Channel[];
  rules: AlertRule[];
  mayWrite: boolean;
  onCreate: () => void;
  onEdit: (channel: Channel) => void;
}

export function Channels({ channels, rules, mayWrite, onCreate, onEdit }: Props) {
  const [deleted, setDeleted] = useState<Channel | null>(null);
  const rulesOf = (channel: Channel) => rules.filter((rule) => listOf(rule.channel_ids).includes(channel.id));
  if (channels.length === 0) {
    return (
      <Card>
        <EmptyState
          icon={IconBellRinging}
          title="No channel yet"
          actions={
            mayWrite && (
              <Button variant="filled" onClick={onCreate}>
                Add channel…
              </Button>
            )
          }
        >
          A channel is where rules tell of alerts: a chat, a pager, mail, or your own program.
          {!mayWrite && " Your role reads them; a developer or an administrator adds them."}
        </EmptyState>
      </Card>
    );
  }
  return (
    <>
      <div className={classes.channels}>
        {channels.map((channel) => (
          <ChannelCard
            key={channel.id}
            channel={channel}
            rules={rulesOf(channel)}
            mayWrite={mayWrite}
            onEdit={() => onEdit(channel)}
            onDelete={() => setDeleted(channel)}
          />
        ))}
      </div>
      <ConfirmDialog
        isOpen={deleted !== null}
        onClose={() => setDeleted(null)}
        title={`Delete ${deleted?.name ?? ""}?`}
        verb="Delete"
        isDangerous
        act={async () => {
          if (deleted) await deleteChannel(deleted.id);
          await refreshChannels();
        }}
      >
        {deleted &&
          (rulesOf(deleted).length > 0
            ? `${counted(rulesOf(deleted).length, "rule tells", "rules tell")} it. They tell their other channels from then on. `
            : "No rule tells it. ")}
        This cannot be undone; the switch disables a channel and keeps it.
      </ConfirmDialog>
    </>
  );
}
