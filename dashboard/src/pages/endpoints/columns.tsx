/** Columns of the list of endpoints, and its card on a phone. */
import { nameOf } from "@/api/endpoints";
import { bucketsOf } from "@/components/data/health";
import { HealthStrip } from "@/components/data/HealthStrip";
import { messagesHref } from "@/components/data/links";
import { StatusBadge } from "@/components/status/StatusBadge";
import type { Column } from "@/components/table/LiveTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { shortUrl } from "@/lib/words/ids";
import { count, percentOf, perSecond } from "@/lib/words/numbers";
import { lastArrivalOf, needsYou, type Row, stateOf, trafficOf, typesOf } from "./rows";
import classes from "./Endpoints.module.css";

/** Time of an attempt from which the p95 of an endpoint is marked. */
const SLOW_MS = 2_000;

export function columns(eventTypes: string[] | undefined): Column<Row>[] {
  return [
    {
      id: "status",
      header: "Status",
      cell: ({ row }) => (
        <StatusBadge
          state={stateOf(row.original)}
          detail={row.original.problem?.cause.sentence ?? row.original.disabled_reason ?? undefined}
        />
      ),
      meta: { width: "134px" },
    },
    {
      id: "endpoint",
      header: "Endpoint",
      cell: ({ row }) => (
        <>
          <div className="cut">
            <span className="name">{nameOf(row.original)}</span>{" "}
            <span className="ink-3">{row.original.application_name}</span>
          </div>
          <div className="cut">
            <code className="ink-2">{shortUrl(row.original.url)}</code>
          </div>
        </>
      ),
    },
    {
      id: "health",
      header: "Last 24 hours",
      cell: ({ row }) => <Strip row={row.original} />,
      meta: { width: "142px", from: 1024 },
    },
    {
      id: "success",
      header: "Success",
      cell: ({ row }) =>
        typeof row.original.health.success_rate === "number"
          ? percentOf(row.original.health.success_rate)
          : "",
      meta: { isNumber: true, width: "86px" },
    },
    {
      id: "p95",
      header: "p95",
      cell: ({ row }) => {
        const ms = row.original.health.p95_ms;
        if (typeof ms !== "number") return "";
        return <span className={ms >= SLOW_MS ? classes.careful : undefined}>{duration(ms)}</span>;
      },
      meta: { isNumber: true, width: "80px", from: 1024 },
    },
    {
      id: "backlog",
      header: "Backlog",
      cell: ({ row }) => (
        <span className={needsYou(row.original) && row.original.health.pending > 0 ? "name" : "ink-2"}>
          {count(row.original.health.pending)}
        </span>
      ),
      meta: { isNumber: true, width: "84px" },
    },
    {
      id: "limit",
      header: "Limit",
      cell: ({ row }) => (
        <span className="ink-2">
          {row.original.rate_limit_per_second ? perSecond(row.original.rate_limit_per_second) : "no limit"}
        </span>
      ),
      meta: { isNumber: true, width: "80px", from: 1280 },
    },
    {
      id: "types",
      header: "Event types",
      cell: ({ row }) => {
        const { text, isAll } = typesOf(row.original, eventTypes);
        return <span className={isAll ? "name" : "ink-2"}>{text}</span>;
      },
      meta: { isNumber: true, width: "96px", from: 1280 },
    },
    {
      id: "arrival",
      header: "Last arrival",
      cell: ({ row }) => <LastArrival row={row.original} />,
      meta: { isNumber: true, width: "136px", from: 1024 },
    },
  ];
}

function Strip({ row }: { row: Row }) {
  return (
    <div className={classes.strip}>
      <HealthStrip
        buckets={bucketsOf(row.health)}
        hrefOf={(bucket) => messagesHref({ endpoint_id: row.id }, bucket)}
        isOneStop
      />
    </div>
  );
}

function LastArrival({ row }: { row: Row }) {
  const last = lastArrivalOf(row);
  const tone = needsYou(row) && row.circuit_state !== "closed" ? classes.bad : "ink-2";
  if (last.kind === "none") return <span className={tone}>{trafficOf(row) > 0 ? "none in 24 h" : ""}</span>;
  return last.kind === "now" ? (
    <span className="ink-2">this half hour</span>
  ) : (
    <span title="At this time or in the half hour before it">
      <RelativeTime value={last.since.toISOString()} {...(tone ? { className: tone } : {})} />
    </span>
  );
}

export function EndpointCard({ row }: { row: Row }) {
  const rate = row.health.success_rate;
  return (
    <>
      <span className={classes.cardLine}>
        <span className="name cut">{nameOf(row)}</span>
        <StatusBadge state={stateOf(row)} />
      </span>
      <span className={classes.cardLine}>
        <span className="small ink-2 cut">{row.application_name}</span>
        <span className="small ink-2 number">
          {typeof rate === "number" ? `${percentOf(rate)}, ` : ""}
          {count(row.health.pending)} waiting
        </span>
      </span>
      <span className={classes.cardStrip}>
        <HealthStrip buckets={bucketsOf(row.health)} height={18} />
      </span>
    </>
  );
}
