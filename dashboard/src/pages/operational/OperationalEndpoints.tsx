/** Table of operational endpoints with their health. */
import { useQueries, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type Endpoint, healthQuery, nameOf } from "@/api/endpoints";
import { OPERATIONAL_POLL_MS, operationalEventTypesQuery } from "@/api/operational";
import { bucketsOfHalfHours } from "@/components/data/health";
import { HealthStrip } from "@/components/data/HealthStrip";
import { endpointLink } from "@/components/data/links";
import { endpointState, FAILING } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { duration } from "@/lib/words/durations";
import { shortUrl } from "@/lib/words/ids";
import { count, percentOf } from "@/lib/words/numbers";
import { typesOf } from "../endpoints/rows";
import classes from "./operational.module.css";

export function OperationalEndpoints({ endpoints }: { endpoints: Endpoint[] }) {
  const { data: types } = useQuery(operationalEventTypesQuery);
  const health = useQueries({
    queries: endpoints.map(({ id }) => ({
      ...healthQuery({ appId: null, id }),
      refetchInterval: OPERATIONAL_POLL_MS,
    })),
    combine: (results) => new Map(results.flatMap(({ data }) => (data ? [[data.endpoint_id, data]] : []))),
  });
  return (
    <PlainTable
      label="Operational endpoints"
      rows={endpoints}
      idOf={(endpoint) => endpoint.id}
      columns={[
        {
          head: "Status",
          cell: (endpoint) => {
            const own = endpointState(endpoint);
            const isFailing = own.word === "Active" && Boolean(health.get(endpoint.id)?.failing_since);
            return (
              <StatusBadge
                state={isFailing ? FAILING : own}
                detail={endpoint.disabled_reason?.replaceAll("_", " ")}
              />
            );
          },
        },
        {
          head: "Endpoint",
          cell: (endpoint) => (
            <Link {...endpointLink({ appId: null, id: endpoint.id })} className="link-plain name">
              {nameOf(endpoint)}
            </Link>
          ),
        },
        { head: "Address", cell: (endpoint) => <code className="ink-2">{shortUrl(endpoint.url)}</code> },
        {
          head: "Last 24 hours",
          cell: ({ id }) => {
            const numbers = health.get(id);
            return (
              <div className={classes.strip}>
                {numbers && <HealthStrip buckets={bucketsOfHalfHours(numbers.half_hours)} height={20} />}
              </div>
            );
          },
        },
        {
          head: "Success",
          cell: ({ id }) => {
            const rate = health.get(id)?.success_rate;
            return typeof rate === "number" ? percentOf(rate) : "none due";
          },
          isNumber: true,
        },
        {
          head: "p95",
          cell: ({ id }) => {
            const ms = health.get(id)?.latency.p95;
            return typeof ms === "number" ? duration(ms) : "";
          },
          isNumber: true,
        },
        { head: "Backlog", cell: ({ id }) => count(health.get(id)?.backlog.pending ?? 0), isNumber: true },
        {
          head: "Events",
          cell: (endpoint) => {
            const { text, isAll } = typesOf(
              endpoint,
              types?.map((type) => type.name),
            );
            return <span className={isAll ? "name" : "ink-2"}>{text}</span>;
          },
          isNumber: true,
        },
      ]}
    />
  );
}
