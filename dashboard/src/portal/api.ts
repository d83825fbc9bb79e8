/** Client of the portal's operations: the token as a bearer, nothing else. */
import { queryOptions } from "@tanstack/react-query";
import createClient from "openapi-fetch";
import { answered, type Schemas } from "@/api/client";
import { ApiError } from "@/api/errors";
import type { paths } from "../../types/schema";
import { TokenStore } from "./token";

export type Endpoint = Schemas["Endpoint"];
export type Message = Schemas["Message"];
export type EventType = Schemas["EventType"];
export type Statement = Schemas["Statement"];
export type Activity = Schemas["Activity"];
export type Notifications = Schemas["PortalNotifications"];

const client = createClient<paths>({ credentials: "omit" });

/** Returns another token; `null` if the server gives none; fails without an answer. */
async function renewed(token: string): Promise<string | null> {
  const answer = await client.POST("/v1/portal/renew", { headers: { authorization: `Bearer ${token}` } });
  if (answer.data) return answer.data.token;
  if (answer.response.status === 401) return null;
  throw new ApiError(answer.response.status, answer.error);
}

export const tokens = new TokenStore(renewed);

client.use({
  onRequest({ request }) {
    const token = tokens.bearer();
    if (token !== null && !request.headers.has("authorization")) {
      request.headers.set("authorization", `Bearer ${token}`);
    }
    return request;
  },
  onResponse({ request, response }) {
    if (response.status === 401 && !request.url.endsWith("/portal/renew")) tokens.refused();
    return response;
  },
});

export const portalQuery = queryOptions({
  queryKey: ["portal"],
  queryFn: () => answered(client.GET("/v1/portal/application")),
  staleTime: 60_000,
});

export const endpointsQuery = queryOptions({
  queryKey: ["endpoints"],
  queryFn: () => answered(client.GET("/v1/portal/endpoints", { params: { query: { limit: 100 } } })),
  select: (answer) => answer.endpoints,
});

export function endpointQuery(id: string) {
  return queryOptions({
    queryKey: ["endpoint", id],
    queryFn: () => answered(client.GET("/v1/portal/endpoints/{id}", { params: { path: { id } } })),
    select: (answer) => answer.endpoint,
  });
}

export function healthQuery(id: string) {
  return queryOptions({
    queryKey: ["health", id],
    queryFn: () => answered(client.GET("/v1/portal/endpoints/{id}/health", { params: { path: { id } } })),
    select: (answer) => answer.health,
    refetchInterval: 15_000,
  });
}

/** Filter of messages, as it stands in the address. */
export interface MessageFilter {
  status?: "pending" | "delivered" | "failed" | "skipped";
  type?: string;
  endpoint?: string;
  search?: string;
}

export function messagesQuery(filter: MessageFilter, cursor: string | undefined) {
  const query = {
    limit: 25,
    ...(filter.status ? { status: filter.status } : {}),
    ...(filter.type ? { event_type: filter.type } : {}),
    ...(filter.endpoint ? { endpoint_id: filter.endpoint } : {}),
    ...(filter.search ? { search: filter.search } : {}),
    ...(cursor ? { cursor } : {}),
  };
  return queryOptions({
    queryKey: ["messages", query],
    queryFn: () => answered(client.GET("/v1/portal/messages", { params: { query: query } })),
    refetchInterval: cursor ? false : 5_000,
  });
}

export function messageQuery(id: string) {
  return queryOptions({
    queryKey: ["message", id],
    queryFn: () => answered(client.GET("/v1/portal/messages/{msgId}", { params: { path: { msgId: id } } })),
    refetchInterval: 5_000,
  });
}

export function explanationQuery(id: string) {
  return queryOptions({
    queryKey: ["message", id, "explanation"],
    queryFn: () =>
      answered(client.GET("/v1/portal/messages/{msgId}/explain", { params: { path: { msgId: id } } })),
    select: (answer) => answer.explanation,
    refetchInterval: 5_000,
  });
}

export function exchangeQuery(message: string, attempt: string) {
  return queryOptions({
    queryKey: ["message", message, "attempt", attempt],
    queryFn: () =>
      answered(
        client.GET("/v1/portal/messages/{msgId}/attempts/{id}", {
          params: { path: { msgId: message, id: attempt } },
        }),
      ),
  });
}

export function activityQuery(cursor: string | undefined) {
  const query = { limit: 25, ...(cursor ? { cursor } : {}) };
  return queryOptions({
    queryKey: ["activity", query],
    queryFn: () => answered(client.GET("/v1/portal/activity", { params: { query } })),
    refetchInterval: cursor ? false : 15_000,
  });
}

export const eventTypesQuery = queryOptions({
  queryKey: ["event-types"],
  queryFn: async (): Promise<EventType[]> => {
    const all: EventType[] = [];
    let cursor: string | undefined;
    do {
      const query = { limit: 100, ...(cursor ? { cursor } : {}) };
      const page = await answered(client.GET("/v1/portal/event-types", { params: { query: query } }));
      all.push(...page.event_types);
      cursor = page.has_more ? (page.cursor ?? undefined) : undefined;
    } while (cursor !== undefined && all.length < 1_000);
    return all.filter((one) => one.status === "active").sort((a, b) => a.name.localeCompare(b.name));
  },
  staleTime: 60_000,
});

export const mailQuery = queryOptions({
  queryKey: ["notifications"],
  queryFn: () => answered(client.GET("/v1/portal/notifications")),
  select: (answer) => answer.notifications,
});

/** Sets address and events; a new address gets a code. */
export function setMail(body: Schemas["SetPortalNotifications"]) {
  return answered(client.POST("/v1/portal/notifications", { body }));
}

export function confirmMail(code: string) {
  return answered(client.POST("/v1/portal/notifications/confirm", { body: { code } }));
}

export function stopMail() {
  return answered(client.DELETE("/v1/portal/notifications"));
}

export function createEndpoint(body: Schemas["CreatePortalEndpoint"]) {
  return answered(client.POST("/v1/portal/endpoints", { body }));
}

export function updateEndpoint(id: string, body: Schemas["UpdatePortalEndpoint"]) {
  return answered(client.PATCH("/v1/portal/endpoints/{id}", { params: { path: { id } }, body }));
}

export function deleteEndpoint(id: string) {
  return answered(client.DELETE("/v1/portal/endpoints/{id}", { params: { path: { id } } }));
}

export function sendTest(id: string) {
  return answered(client.POST("/v1/portal/endpoints/{id}/test", { params: { path: { id } } }));
}

export function rotateSecret(id: string, graceSeconds: number) {
  return answered(
    client.POST("/v1/portal/endpoints/{id}/rotate-secret", {
      params: { path: { id }, query: { grace_seconds: graceSeconds } },
    }),
  );
}

export function revealSecret(id: string) {
  return answered(client.GET("/v1/portal/endpoints/{id}/secret", { params: { path: { id } } }));
}

export function retryMessage(id: string, body: Schemas["RetryMessage"]) {
  return answered(
    client.POST("/v1/portal/messages/{msgId}/retry", { params: { path: { msgId: id } }, body }),
  );
}

/** Deliveries that a recovery sends per second: the default of the API. */
const RATE = 100;

/** Returns how many deliveries a recovery would send again. */
export async function forecast(id: string, since: string) {
  const answer = await answered(
    client.POST("/v1/portal/endpoints/{id}/recover", {
      params: { path: { id }, query: { dry_run: "1" } },
      body: { since, rate_limit: RATE },
    }),
  );
  return "dry_run" in answer ? answer.dry_run : null;
}

/** Starts a recovery, and returns its job. */
export async function recover(id: string, since: string) {
  const answer = await answered(
    client.POST("/v1/portal/endpoints/{id}/recover", {
      params: { path: { id } },
      body: { since, rate_limit: RATE },
    }),
  );
  return "job" in answer ? answer.job : null;
}

export function jobQuery(id: string | null) {
  return queryOptions({
    queryKey: ["job", id],
    queryFn: () => answered(client.GET("/v1/portal/jobs/{id}", { params: { path: { id: id ?? "" } } })),
    select: (answer) => answer.job,
    enabled: id !== null,
    refetchInterval: 1_000,
  });
}
