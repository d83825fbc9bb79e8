/** Columns of the list of applications, and its card on a phone. */
import type { Application } from "@/api/applications";
import { HealthStrip } from "@/components/data/HealthStrip";
import { messagesHref } from "@/components/data/links";
import { plainState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import type { Column } from "@/components/table/LiveTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { count, counted, percent } from "@/lib/words/numbers";
import pages from "../pages.module.css";
import type { ApplicationHealth } from "./health";
import classes from "./Applications.module.css";

export interface Row extends Application {
  health: ApplicationHealth | undefined;
}

function State({ row }: { row: Row }) {
  if (row.status !== "active") return <StatusBadge state={plainState(row.status)} />;
  if (row.health?.state) return <StatusBadge state={row.health.state} />;
  return <span className="ink-3">{row.endpoint_count === 0 ? "no endpoint" : ""}</span>;
}

export const COLUMNS: Column<Row>[] = [
  {
    id: "health",
    header: "Health",
    cell: ({ row }) => <State row={row.original} />,
    meta: { width: "190px" },
  },
  {
    id: "name",
    header: "Application",
    cell: ({ row }) => (
      <>
        <span className="name">{row.original.name}</span>{" "}
        <code className="ink-3">{row.original.uid ?? ""}</code>
      </>
    ),
  },
  {
    id: "strip",
    header: "Last 24 hours",
    cell: ({ row }) => {
      const { health, id } = row.original;
      return health ? (
        <div className={classes.strip}>
          <HealthStrip
            buckets={health.buckets}
            hrefOf={(bucket) => messagesHref({ application_id: id }, bucket)}
            isOneStop
          />
        </div>
      ) : null;
    },
    meta: { width: "142px", from: 1024 },
  },
  {
    id: "success",
    header: "Success",
    cell: ({ row }) =>
      row.original.health ? percent(row.original.health.arrived, row.original.health.due) : "",
    meta: { isNumber: true, width: "90px", from: 1024 },
  },
  {
    id: "pending",
    header: "Backlog",
    cell: ({ row }) => {
      const pending = row.original.health?.pending ?? 0;
      return <span className={pending > 0 ? "name" : "ink-2"}>{count(pending)}</span>;
    },
    meta: { isNumber: true, width: "90px" },
  },
  {
    id: "endpoints",
    header: "Endpoints",
    cell: ({ row }) => count(row.original.endpoint_count ?? 0),
    meta: { isNumber: true, width: "92px", from: 1280 },
  },
  {
    id: "messages",
    header: "Messages",
    cell: ({ row }) => count(row.original.message_count ?? 0),
    meta: { isNumber: true, width: "96px" },
  },
  {
    id: "created",
    header: "Created",
    cell: ({ row }) => <RelativeTime value={row.original.created_at} />,
    meta: { isNumber: true, width: "152px", from: 1280 },
  },
];

export function ApplicationCard({ row }: { row: Row }) {
  return (
    <>
      <span className={pages.between}>
        <span className="name cut">{row.name}</span>
        <State row={row} />
      </span>
      <span className="small ink-2">
        {counted(row.endpoint_count ?? 0, "endpoint")}, {counted(row.message_count ?? 0, "message")},{" "}
        {count(row.health?.pending ?? 0)} waiting
      </span>
    </>
  );
}
