/** Endpoints of an application with their health. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { IconWebhook } from "@tabler/icons-react";
import { allEndpointsQuery, endpointsQuery, nameOf } from "@/api/endpoints";
import { eventTypesQuery } from "@/api/event-types";
import { bucketsOf } from "@/components/data/health";
import { HealthStrip } from "@/components/data/HealthStrip";
import { messagesHref } from "@/components/data/links";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { endpointState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { duration } from "@/lib/words/durations";
import { shortUrl } from "@/lib/words/ids";
import { count, counted, percentOf } from "@/lib/words/numbers";
import { typesOf } from "../endpoints/rows";
import classes from "./Applications.module.css";

export function ApplicationEndpoints({ appId, uid }: { appId: string; uid: string | null | undefined }) {
  const endpoints = useQuery(endpointsQuery(appId));
  const { data: all } = useQuery(allEndpointsQuery);
  const { data: eventTypes } = useQuery(eventTypesQuery);
  const health = new Map(all?.endpoints.map((one) => [one.id, one.health]));
  return (
    <Card title="Endpoints" aside={endpoints.data && counted(endpoints.data.endpoints.length, "endpoint")}>
      {endpoints.isError && (
        <ErrorState what="Endpoints" error={endpoints.error} onRetry={() => void endpoints.refetch()} />
      )}
      {endpoints.isPending && <Skeletons rows={2} />}
      {endpoints.data?.endpoints.length === 0 && (
        <EmptyState
          icon={IconWebhook}
          title="No endpoints yet"
          command={`hookstream endpoints list --app ${uid ?? appId}`}
        >
          An endpoint is the address that gets an application's webhooks. Add one, or give your customer the
          portal.
        </EmptyState>
      )}
      {endpoints.data && endpoints.data.endpoints.length > 0 && (
        <PlainTable
          label="Endpoints"
          rows={endpoints.data.endpoints}
          idOf={(endpoint) => endpoint.id}
          columns={[
            {
              head: "Status",
              cell: (endpoint) => (
                <StatusBadge state={endpointState(endpoint)} detail={endpoint.disabled_reason ?? undefined} />
              ),
            },
            {
              head: "Endpoint",
              cell: (endpoint) => (
                <Link
                  to="/dashboard/endpoints/$appId/$id"
                  params={{ appId, id: endpoint.id }}
                  className="link-plain name"
                >
                  {nameOf(endpoint)}
                </Link>
              ),
            },
            { head: "Address", cell: (endpoint) => <code className="ink-2">{shortUrl(endpoint.url)}</code> },
            {
              head: "Last 24 hours",
              cell: (endpoint) => {
                const numbers = health.get(endpoint.id);
                return (
                  <div className={classes.strip}>
                    {numbers && (
                      <HealthStrip
                        buckets={bucketsOf(numbers)}
                        height={20}
                        hrefOf={(bucket) => messagesHref({ endpoint_id: endpoint.id }, bucket)}
                        isOneStop
                      />
                    )}
                  </div>
                );
              },
            },
            {
              head: "Success",
              cell: ({ id }) => {
                const rate = health.get(id)?.success_rate;
                return typeof rate === "number" ? percentOf(rate) : "";
              },
              isNumber: true,
            },
            {
              head: "p95",
              cell: ({ id }) => {
                const ms = health.get(id)?.p95_ms;
                return typeof ms === "number" ? duration(ms) : "";
              },
              isNumber: true,
            },
            { head: "Backlog", cell: ({ id }) => count(health.get(id)?.pending ?? 0), isNumber: true },
            {
              head: "Event types",
              cell: (endpoint) => {
                const { text, isAll } = typesOf(
                  endpoint,
                  eventTypes?.map((type) => type.name),
                );
                return <span className={isAll ? "name" : "ink-2"}>{text}</span>;
              },
              isNumber: true,
            },
          ]}
        />
      )}
    </Card>
  );
}
