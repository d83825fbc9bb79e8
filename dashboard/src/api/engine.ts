/** The engine as operators see it: delivery queues, nodes, usage. */
import { queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";
import { hasStatus } from "./errors";

export type Lane = Schemas["Lane"];
export type Node = Schemas["Node"];
export type Usage = Schemas["UsageAnswer"]["usage"];

/** Delivery queues of the environment, longest first. */
export const lanesQuery = queryOptions({
  queryKey: ["engine", "lanes"],
  queryFn: () => answered(api.GET("/v1/engine/lanes")),
});

/** Nodes of the installation, or null for a user who may not see them. */
export const nodesQuery = queryOptions({
  queryKey: ["engine", "nodes"],
  queryFn: async () => {
    try {
      return (await answered(api.GET("/v1/nodes"))).nodes;
    } catch (error) {
      if (hasStatus(error, 403)) return null;
      throw error;
    }
  },
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
