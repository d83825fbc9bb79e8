/** Delivery queues: who uses the capacity and who waits. One row an endpoint, sorted by what waits. */
import { useQuery } from "@tanstack/react-query";
import { IconStack2 } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useApplicationNames } from "@/api/applications";
import { nameOf, useEndpointsById } from "@/api/endpoints";
import { type Lane, lanesQuery } from "@/api/engine";
import { useLive } from "@/api/live";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card, Figures } from "@/components/page/Card";
import { LiveState } from "@/components/page/LiveState";
import { Page, Title } from "@/components/page/Page";
import { circuitState, plainState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { Countdown } from "@/components/time/Countdown";
import { RelativeTime } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { shortId } from "@/lib/words/ids";
import { count, counted, perSecond } from "@/lib/words/numbers";
import classes from "../pages.module.css";

export function Queues() {
  const lanes = useQuery(lanesQuery);
  useLive("lanes", () => void lanes.refetch());
  const rows = [...(lanes.data?.lanes ?? [])].sort((a, b) => b.queued + b.in_store - a.queued - a.in_store);
  const sum = (of: (lane: Lane) => number) => rows.reduce((total, lane) => total + of(lane), 0);
  const waiting = rows.filter((lane) => lane.queued + lane.in_store > 0).length;
  const rates = rows.flatMap((lane) => (typeof lane.per_second === "number" ? [lane.per_second] : []));
  return (
    <Page crumbs={[{ label: "Delivery queues" }]} actions={<LiveState canPause />}>
      {lanes.data && (
        <Title
          text={
            waiting > 0
              ? `${counted(waiting, "queue")} ${waiting === 1 ? "has" : "have"} deliveries waiting`
              : "Nothing waits"
          }
        />
      )}
      {lanes.isError && (
        <ErrorState what="Delivery queues" error={lanes.error} onRetry={() => void lanes.refetch()} />
      )}
      {lanes.isPending && <Skeletons rows={8} />}
      {lanes.data && (
        <>
          <Card>
            <Figures
              figures={[
                {
                  label: "In flight",
                  value: count(sum((lane) => lane.in_flight)),
                  note: "on the node that answers",
                },
                {
                  label: "Waiting in memory",
                  value: count(sum((lane) => lane.queued)),
                  note: "on the node that answers",
                },
                {
                  label: "Waiting in the store",
                  value: count(sum((lane) => lane.in_store)),
                  note: "over all nodes",
                },
                ...(rates.length > 0
                  ? [{ label: "Going out", value: perSecond(rates.reduce((a, b) => a + b, 0)) }]
                  : []),
                {
                  label: "Circuits open",
                  value: count(rows.filter((lane) => lane.circuit_state === "open").length),
                  isBad: rows.some((lane) => lane.circuit_state === "open"),
                },
              ]}
            />
          </Card>
          <Card>
            {rows.length === 0 ? (
              <EmptyState icon={IconStack2} title="No queue">
                Queues show up here while something waits or is in flight.
              </EmptyState>
            ) : (
              <LaneTable rows={rows} />
            )}
            {lanes.data.left_out > 0 && (
              <p className={classes.sum}>
                {counted(lanes.data.left_out, "shorter queue is", "shorter queues are")} left out.
              </p>
            )}
          </Card>
          <p className="small ink-3">
            Lengths of the bars are to the square root, so that small queues stay visible.
          </p>
        </>
      )}
    </Page>
  );
}

function LaneTable({ rows }: { rows: Lane[] }) {
  const endpoints = useEndpointsById(
    rows.map((lane) => ({ appId: lane.application_id, id: lane.endpoint_id })),
  );
  const names = useApplicationNames(rows.map((lane) => lane.application_id));
  const most = Math.max(1, ...rows.map((lane) => Math.sqrt(lane.queued + lane.in_store + lane.in_flight)));
  return (
    <PlainTable
      label="Delivery queues"
      rows={rows}
      idOf={(lane) => lane.endpoint_id}
      columns={[
        {
          head: "Endpoint",
          cell: (lane) => {
            const endpoint = endpoints.get(lane.endpoint_id);
            return (
              <span>
                <Link
                  to="/dashboard/endpoints/$appId/$id"
                  params={{ appId: lane.application_id, id: lane.endpoint_id }}
                  className="link-plain name"
                >
                  {endpoint ? nameOf(endpoint) : shortId(lane.endpoint_id)}
                </Link>{" "}
                <span className="ink-3">{names.get(lane.application_id) ?? ""}</span>
              </span>
            );
          },
        },
        { head: "In flight, queued, stored", cell: (lane) => <QueueBar lane={lane} most={most} /> },
        { head: "In flight", cell: (lane) => count(lane.in_flight), isNumber: true },
        { head: "In memory", cell: (lane) => count(lane.queued), isNumber: true },
        { head: "In store", cell: (lane) => count(lane.in_store), isNumber: true },
        {
          head: "Per second",
          cell: (lane) => (typeof lane.per_second === "number" ? perSecond(lane.per_second) : ""),
          isNumber: true,
        },
        {
          head: "Oldest due",
          cell: (lane) => (lane.oldest_due_at ? <RelativeTime value={lane.oldest_due_at} /> : null),
          isNumber: true,
        },
        {
          head: "Held by",
          cell: (lane) => <Held lane={lane} status={endpoints.get(lane.endpoint_id)?.status} />,
        },
        {
          head: "Drains in",
          cell: (lane) => (typeof lane.drained_in_s === "number" ? duration(lane.drained_in_s * 1000) : ""),
          isNumber: true,
        },
      ]}
    />
  );
}

function Held({ lane, status }: { lane: Lane; status: string | undefined }) {
  if (status !== undefined && status !== "active") return <StatusBadge state={plainState(status)} />;
  if (lane.circuit_state !== "closed") {
    return (
      <span className="row">
        <StatusBadge state={circuitState(lane.circuit_state)} />
        {lane.held_until && (
          <span className="ink-2">
            <Countdown to={lane.held_until} />
          </span>
        )}
      </span>
    );
  }
  return lane.held_until ? (
    <span className="ink-2">
      Retry-After, <Countdown to={lane.held_until} />
    </span>
  ) : null;
}

/** Bar of a queue: its length is the square root of what waits, its parts are in proportion. */
function QueueBar({ lane, most }: { lane: Lane; most: number }) {
  const total = lane.in_flight + lane.queued + lane.in_store;
  if (total === 0) return null;
  const width = (Math.sqrt(total) / most) * 140;
  const part = (value: number) => ({ flexGrow: value, flexBasis: 0, minWidth: 2 });
  return (
    <span className={classes.queue} style={{ width: Math.max(4, width) }}>
      {lane.in_flight > 0 && <span style={part(lane.in_flight)} />}
      {lane.queued > 0 && <span data-part="memory" style={part(lane.queued)} />}
      {lane.in_store > 0 && <span data-part="store" style={part(lane.in_store)} />}
    </span>
  );
}
