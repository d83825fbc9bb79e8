/** The audit log: who changed what. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { timeOfFilter, type Filters } from "@/lib/filters";
import { answered, api, type Schemas } from "./client";

export type AuditEntry = Schemas["AuditEntry"];

function queryOf(filters: Filters) {
  const { since, until, ...plain } = filters;
  const now = new Date();
  return {
    ...Object.fromEntries(Object.entries(plain).map(([name, values]) => [name, values.join(",")])),
    ...(since?.[0] ? { since: timeOfFilter(since[0], now) } : {}),
    ...(until?.[0] ? { until: timeOfFilter(until[0], now) } : {}),
  };
}

export function auditLogQuery(filters: Filters) {
  return infiniteQueryOptions({
    queryKey: ["audit-log", filters],
    queryFn: ({ pageParam }) => {
      const query = { limit: 50, ...queryOf(filters), ...(pageParam ? { cursor: pageParam } : {}) };
      return answered(api.GET("/v1/audit-log", { params: { query } }));
    },
    initialPageParam: "",
    getNextPageParam: (page) => (page.has_more ? (page.cursor ?? undefined) : undefined),
  });
}

/** Last changes of the environment, or of one resource. */
export function latestChangesQuery(envId: string, resourceId?: string) {
  return queryOptions({
    queryKey: ["audit-log", "latest", envId, resourceId],
    queryFn: () => {
      const query = {
        limit: resourceId ? 50 : 5,
        env_id: envId,
        ...(resourceId ? { resource_id: resourceId } : {}),
      };
      return answered(api.GET("/v1/audit-log", { params: { query } }));
    },
    select: (answer) => answer.audit_log,
  });
}

/** Returns the address of the export with these filters. */
export function exportAddress(filters: Filters): string {
  return `/v1/audit-log/export?${new URLSearchParams(queryOf(filters)).toString()}`;
}
