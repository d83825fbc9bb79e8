/** Short table of messages inside a card. */
import type { Message, MessageKind } from "@/api/messages";
import { Link } from "@tanstack/react-router";
import { messageLink } from "@/components/data/links";
import { IdCopy } from "@/components/status/IdCopy";
import { messageState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { aboutOf } from "./about";

interface Props {
  messages: Message[];
  kind?: MessageKind;
  /** Endpoint whose delivery is selected when a message is opened. */
  endpointId?: string;
}

export function MessageTable({ messages, kind = "application", endpointId }: Props) {
  return (
    <PlainTable
      label="Latest messages"
      rows={messages}
      idOf={(message) => message.id}
      columns={[
        { head: "Status", cell: (message) => <StatusBadge state={messageState(message.status)} /> },
        {
          head: "Event type",
          cell: (message) => (
            <Link
              {...messageLink(kind, message.id, endpointId === undefined ? {} : { delivery: endpointId })}
              className="link-plain name"
            >
              {message.event_type}
            </Link>
          ),
        },
        { head: "Message", cell: (message) => <IdCopy value={message.id} /> },
        kind === "operational"
          ? { head: "About", cell: (message) => <span className="ink-2">{aboutOf(message.payload)}</span> }
          : { head: "Event id", cell: (message) => <code className="ink-2">{message.event_id ?? ""}</code> },
        { head: "Accepted", cell: (message) => <RelativeTime value={message.created_at} />, isNumber: true },
      ]}
    />
  );
}
