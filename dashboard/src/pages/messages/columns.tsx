/** Columns of the list of messages, and its card on a phone. */
import type { Message } from "@/api/messages";
import { IdCopy } from "@/components/status/IdCopy";
import { messageState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import type { Column } from "@/components/table/LiveTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { shortId } from "@/lib/words/ids";
import { Arrived, AttemptCount, Happened } from "./cells";
import classes from "./Messages.module.css";

export function columns(names: Map<string, string>): Column<Message>[] {
  return [
    {
      id: "status",
      header: "Status",
      cell: ({ row }) => <StatusBadge state={messageState(row.original.status)} />,
      meta: { width: "126px" },
    },
    {
      id: "type",
      header: "Event type",
      cell: ({ row }) => <span className="name">{row.original.event_type}</span>,
      meta: { width: "15%" },
    },
    {
      id: "id",
      header: "Message",
      cell: ({ row }) => <IdCopy value={row.original.id} />,
      meta: { width: "160px", from: 1024 },
    },
    {
      id: "application",
      header: "Application",
      cell: ({ row }) => names.get(row.original.application_id) ?? "",
      meta: { width: "13%", from: 1024 },
    },
    {
      id: "arrived",
      header: "Arrived",
      cell: ({ row }) => <Arrived message={row.original} />,
      meta: { width: "116px" },
    },
    { id: "happened", header: "What happened", cell: ({ row }) => <Happened message={row.original} /> },
    {
      id: "attempts",
      header: "Attempts",
      cell: ({ row }) => <AttemptCount message={row.original} />,
      meta: { isNumber: true, width: "80px", from: 1280 },
    },
    {
      id: "accepted",
      header: "Accepted",
      cell: ({ row }) => <RelativeTime value={row.original.created_at} />,
      meta: { isNumber: true, width: "126px" },
    },
  ];
}

export function MessageCard({ message, application }: { message: Message; application: string | undefined }) {
  return (
    <>
      <span className={classes.cardLine}>
        <span className="name cut">{message.event_type}</span>
        <StatusBadge state={messageState(message.status)} />
      </span>
      <span className={classes.cardLine}>
        <span className="small ink-2 cut">{application ?? shortId(message.id)}</span>
        <span className="small ink-2">
          <RelativeTime value={message.created_at} />
        </span>
      </span>
    </>
  );
}
