/** Delivery queues: who uses the capacity and who waits. One row an endpoint, sorted by what waits. */
import { useQuery } from "@tanstack/react-query";
import { IconStack2 } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { allEndpointsQuery, type ListedEndpoint, nameOf } from "@/api/endpoints";
import { type Lane, lanesQuery } from "@/api/engine";
import { useLive } from "@/api/live";
import { overviewQuery } from "@/api/metrics";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card, Figures } from "@/components/page/Card";
import { LiveState } from "@/components/page/LiveState";
import { Page, Title } from "@/components/page/Page";
import { circuitState, plainState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { SortAgain } from "@/components/table/SortAgain";
import { useStableOrder } from "@/components/table/stable-order";
import { Countdown } from "@/components/time/Countdown";
import { RelativeTime } from "@/components/time/RelativeTime";
import { shortId } from "@/lib/words/ids";
import { count, counted, perSecond } from "@/lib/words/numbers";
import { unaccounted } from "../overview/Conservation";
import pages from "../pages.module.css";
import { Capacity } from "./Capacity";
import { drainOf, openCircuits, queuesTitle, rateOf, type StatusOf, waitingOf } from "./queue-words";
import classes from "./Queues.module.css";

export function Queues() {
  const lanes = useQuery(lanesQuery);
  const all = useQuery(allEndpointsQuery);
  const { data: overview } = useQuery(overviewQuery);
  useLive("lanes", () => lanes.refetch());
  const endpoints = new Map(all.data?.endpoints.map((one) => [one.id, one]));
  const longest = [...(lanes.data?.lanes ?? [])].sort(
    (a, b) => waitingOf(b) - waitingOf(a) || b.in_flight - a.in_flight,
  );
  const order = useStableOrder(longest, (lane) => lane.endpoint_id);
  const { rows } = order;
  const statusOf = (lane: Lane) => endpoints.get(lane.endpoint_id)?.status ?? "active";
  const words = queuesTitle(rows, statusOf);
  return (
    <Page crumbs={[{ label: "Delivery queues" }]} actions={<LiveState canPause />}>
      {lanes.data && <Title text={words.title} aside={words.aside} />}
      {lanes.isError && (
        <Card>
          <ErrorState what="Delivery queues" error={lanes.error} onRetry={() => void lanes.refetch()} />
        </Card>
      )}
      {lanes.isPending && (
        <Card>
          <Skeletons rows={8} />
        </Card>
      )}
      {lanes.data && (
        <>
          <Card>
            <Capacity
              lanes={rows}
              nameOf={(lane) => endpoints.get(lane.endpoint_id)?.application_name ?? ""}
            />
            <div className={classes.figures}>
              <Figures figures={figuresOf(rows, statusOf, overview && unaccounted(overview.conservation))} />
            </div>
          </Card>
          <Card>
            {rows.length === 0 ? (
              <EmptyState icon={IconStack2} title="No queue">
                Queues show up here while something waits or is in flight.
              </EmptyState>
            ) : (
              <LaneTable rows={rows} endpoints={endpoints} />
            )}
            <p className={`${classes.note ?? ""} small ink-3`}>
              <span>
                {lanes.data.left_out > 0 &&
                  `${counted(lanes.data.left_out, "shorter queue is", "shorter queues are")} left out.`}
              </span>
              {rows.length > 0 && (
                <SortAgain isStale={order.isStale} onSort={order.sort}>
                  Lengths are to the square root, so that small queues stay visible.
                </SortAgain>
              )}
            </p>
          </Card>
        </>
      )}
    </Page>
  );
}

function figuresOf(rows: Lane[], statusOf: StatusOf, rest: number | undefined) {
  const sum = (of: (lane: Lane) => number) => rows.reduce((total, lane) => total + of(lane), 0);
  const stored = rows.filter((lane) => lane.in_store > 0).length;
  const open = openCircuits(rows, statusOf);
  const oldest = rows.flatMap((lane) => (lane.oldest_due_at ? [lane.oldest_due_at] : [])).sort()[0];
  return [
    { label: "In flight", value: count(sum((lane) => lane.in_flight)), note: "on the node that answers" },
    {
      label: "Waiting in memory",
      value: count(sum((lane) => lane.queued)),
      note: oldest ? (
        <>
          oldest due <RelativeTime value={oldest} />
        </>
      ) : (
        "on the node that answers"
      ),
    },
    {
      label: "Waiting in the store",
      value: count(sum((lane) => lane.in_store)),
      note: stored === 0 ? "over all nodes" : counted(stored, "endpoint"),
    },
    {
      label: "Going out",
      value: perSecond(sum((lane) => rateOf(lane, statusOf) ?? 0)),
      note: "answered lately",
    },
    {
      label: "Circuits open",
      value: count(open),
      isBad: open > 0,
      note: open === 0 ? "nothing is held" : "nothing is sent there",
    },
    {
      label: "Unaccounted",
      value: rest === undefined ? "\u2007" : count(rest),
      isBad: rest !== undefined && rest !== 0,
      note: "every delivery is on record",
    },
  ];
}

interface TableProps {
  rows: Lane[];
  endpoints: Map<string, ListedEndpoint>;
}

function LaneTable({ rows, endpoints }: TableProps) {
  const most = Math.max(1, ...rows.map((lane) => Math.sqrt(waitingOf(lane) + lane.in_flight)));
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
                <span className="ink-3">{endpoint?.application_name ?? ""}</span>
              </span>
            );
          },
        },
        { head: "In flight, queued, stored", cell: (lane) => <QueueBar lane={lane} most={most} /> },
        { head: "In flight", cell: (lane) => count(lane.in_flight), isNumber: true },
        { head: "In memory", cell: (lane) => count(lane.queued), isNumber: true },
        {
          head: "In store",
          cell: (lane) => <span className={lane.in_store > 0 ? "name" : ""}>{count(lane.in_store)}</span>,
          isNumber: true,
        },
        {
          head: "Per second",
          cell: (lane) => {
            const rate = rateOf(lane, (one) => endpoints.get(one.endpoint_id)?.status ?? "active");
            return rate === null ? "" : perSecond(rate);
          },
          isNumber: true,
        },
        {
          head: "Oldest due",
          cell: (lane) => {
            const oldest = lane.oldest_due_at ?? endpoints.get(lane.endpoint_id)?.health.oldest_at;
            return oldest ? <RelativeTime value={oldest} /> : null;
          },
          isNumber: true,
        },
        { head: "Held by", cell: (lane) => <Held lane={lane} endpoint={endpoints.get(lane.endpoint_id)} /> },
        {
          head: "Drains in",
          cell: (lane) => {
            const { text, isCareful } = drainOf(lane, endpoints.get(lane.endpoint_id)?.status ?? "active");
            return <span className={isCareful ? classes.careful : undefined}>{text}</span>;
          },
          isNumber: true,
        },
      ]}
    />
  );
}

function Held({ lane, endpoint }: { lane: Lane; endpoint: ListedEndpoint | undefined }) {
  if (endpoint !== undefined && endpoint.status !== "active")
    return <StatusBadge state={plainState(endpoint.status)} />;
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
  if (lane.held_until) {
    return (
      <span className="ink-2">
        Retry-After, <Countdown to={lane.held_until} />
      </span>
    );
  }
  const limit = endpoint?.rate_limit_per_second;
  if (limit && waitingOf(lane) > 0) return <span className="ink-2">rate limit {perSecond(limit)}</span>;
  return lane.at_once && waitingOf(lane) > 0 ? (
    <span className="ink-2">{lane.at_once} at once, as it answers</span>
  ) : null;
}

/** Bar of a queue: its length is the square root of what waits, its parts are in proportion. */
function QueueBar({ lane, most }: { lane: Lane; most: number }) {
  const total = lane.in_flight + waitingOf(lane);
  if (total === 0) return null;
  const width = (Math.sqrt(total) / most) * 140;
  const part = (value: number) => ({ flexGrow: value, flexBasis: 0, minWidth: 2 });
  return (
    <span
      className={pages.queue}
      style={{ width: Math.max(4, width) }}
      role="img"
      aria-label={`${count(lane.in_flight)} in flight, ${count(lane.queued)} queued, ${count(lane.in_store)} stored`}
    >
      {lane.in_flight > 0 && <span style={part(lane.in_flight)} />}
      {lane.queued > 0 && <span data-part="memory" style={part(lane.queued)} />}
      {lane.in_store > 0 && <span data-part="store" style={part(lane.in_store)} />}
    </span>
  );
}
