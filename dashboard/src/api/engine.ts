/** The engine: delivery queues, usage, quotas. */
import { queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";

export type Lane = Schemas["Lane"];
export type Usage = Schemas["UsageAnswer"]["usage"];

/** Delivery queues of the environment, longest first. */
export const lanesQuery = queryOptions({
  queryKey: ["engine", "lanes"],
  queryFn: () => answered(api.GET("/v1/engine/lanes")),
});

/** Processes that share the database; owners of the first organization may list them. */
export const nodesQuery = queryOptions({
  queryKey: ["engine", "nodes"],
  queryFn: () => answered(api.GET("/v1/nodes")),
  select: (answer) => answer.nodes,
  refetchInterval: 5_000,
});

/** Deliveries by state, bytes stored and the forecast. */
export const usageQuery = queryOptions({
  queryKey: ["usage"],
  queryFn: () => answered(api.GET("/v1/usage")),
  select: (answer) => answer.usage,
});

/** Quotas with what is used of them. */
export const quotasQuery = queryOptions({
  queryKey: ["quotas"],
  queryFn: () => answered(api.GET("/v1/billing/usage")),
});

export const healthQuery = queryOptions({
  queryKey: ["health"],
  queryFn: () => answered(api.GET("/v1/health")),
  staleTime: Infinity,
});
