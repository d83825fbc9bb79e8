/** Operational webhooks: their endpoints, event types and messages. Acts on one endpoint or message stand beside those of applications. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";

export type OperationalEventType = Schemas["OperationalEventType"];

/** Operational endpoints of the environment, at most 100. */
export const operationalEndpointsQuery = queryOptions({
  queryKey: ["endpoints", "operational"],
  queryFn: () =>
    answered(api.GET("/v1/operational-webhooks/endpoints", { params: { query: { limit: 100 } } })),
  select: (answer) => answer.endpoints,
});

/** Types of operational events, with a sentence about each. */
export const operationalEventTypesQuery = queryOptions({
  queryKey: ["operational-event-types"],
  queryFn: () => answered(api.GET("/v1/operational-webhooks/event-types")),
  select: (answer) => answer.event_types,
  staleTime: Infinity,
});

/** Filters of the list of operational messages. */
export interface OperationalFilters {
  status?: "failed" | "pending";
  endpoint_id?: string;
}

/** Time after which the lists ask again: the live stream does not tell of operational messages. */
export const OPERATIONAL_POLL_MS = 5_000;

/** Pages of operational messages, newest first. */
export function operationalMessagesQuery(filters: OperationalFilters) {
  return infiniteQueryOptions({
    queryKey: ["messages", "operational", filters],
    queryFn: ({ pageParam }) => {
      const query = { limit: 20, ...filters, ...(pageParam ? { cursor: pageParam } : {}) };
      return answered(api.GET("/v1/operational-webhooks/messages", { params: { query } }));
    },
    initialPageParam: "",
    getNextPageParam: (page) => (page.has_more ? (page.cursor ?? undefined) : undefined),
  });
}
