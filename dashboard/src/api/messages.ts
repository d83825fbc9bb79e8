/** Messages: lists with filters, one message, its explanation and its retry. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { timeOfFilter, type Filters, withFilter } from "@/lib/filters";
import { answered, api, type Schemas } from "./client";
import type { EndpointPath } from "./endpoints";

export type Message = Schemas["Message"];
export type Attempt = Schemas["Attempt"];
export type Delivery = Schemas["Delivery"];
export type ExplainedEndpoint = Schemas["ExplainedEndpoint"];
export type MessageList = Schemas["MessageList"];
export type MessageCounts = Schemas["MessageCounts"];

/** Messages of applications, or the operational ones, which Hookstream sends about the environment. */
export type MessageKind = "application" | "operational";

/** Returns the kind of messages that an endpoint gets. */
export function kindOf({ appId }: EndpointPath): MessageKind {
  return appId === null ? "operational" : "application";
}

const PAGE = 50;

/** Pages of messages that match filters, newest first. `application_id` selects the list of that application. */
export function messagesQuery(filters: Filters) {
  return infiniteQueryOptions({
    queryKey: ["messages", "list", filters],
    queryFn: ({ pageParam, signal }) => listMessages(filters, pageParam, PAGE, signal),
    initialPageParam: "",
    getNextPageParam: (page) => (page.has_more ? (page.cursor ?? undefined) : undefined),
    refetchOnWindowFocus: false,
    staleTime: Infinity,
  });
}

/** First page of the same list, asked again while the list is live. */
export function newestMessagesQuery(filters: Filters) {
  return queryOptions({
    queryKey: ["messages", "newest", filters],
    queryFn: ({ signal }) => listMessages(filters, "", 100, signal),
    staleTime: 0,
  });
}

/** Returns the query of filters, without the application, which is part of the path. */
function queryOf(filters: Filters) {
  const { since, until, ...plain } = withFilter(filters, "application_id", []);
  const now = new Date();
  return {
    ...Object.fromEntries(Object.entries(plain).map(([name, values]) => [name, values.join(",")])),
    ...(since?.[0] ? { since: timeOfFilter(since[0], now) } : {}),
    ...(until?.[0] ? { until: timeOfFilter(until[0], now) } : {}),
  };
}

/** Counts are asked for again after this time. */
const COUNT_MS = 60_000;

/**
 * Number of messages by status that match filters. The filter by status is left out, so that one count answers for every
 * status.
 */
export function messageCountsQuery(filters: Filters) {
  const rest = withFilter(filters, "status", []);
  const appId = rest["application_id"]?.[0];
  return queryOptions({
    queryKey: ["message-counts", rest],
    queryFn: ({ signal }) => {
      const query = { ...queryOf(rest), ...(appId === undefined ? {} : { application_id: appId }) };
      return answered(api.GET("/v1/messages/counts", { params: { query }, signal }));
    },
    staleTime: COUNT_MS,
    refetchInterval: COUNT_MS,
    refetchOnWindowFocus: false,
  });
}

async function listMessages(filters: Filters, cursor: string, limit: number, signal: AbortSignal) {
  const application = filters["application_id"];
  const query = { limit, ...(cursor ? { cursor } : {}), ...queryOf(filters) };
  const appId = application?.[0];
  const began = performance.now();
  const page = await answered(
    appId === undefined
      ? api.GET("/v1/messages", { params: { query }, signal })
      : api.GET("/v1/applications/{appId}/messages", { params: { path: { appId }, query }, signal }),
  );
  return { ...page, tookMs: Math.round(performance.now() - began) };
}

export function messageQuery(msgId: string, kind: MessageKind = "application") {
  return queryOptions({
    queryKey: ["messages", "one", msgId],
    queryFn: () =>
      answered(
        kind === "operational"
          ? api.GET("/v1/operational-webhooks/messages/{msgId}", { params: { path: { msgId } } })
          : api.GET("/v1/messages/{msgId}", { params: { path: { msgId } } }),
      ),
  });
}

/** Attempt with the request that was sent and the response. */
export function exchangeQuery(
  { message_id: msgId, id }: Pick<Attempt, "message_id" | "id">,
  kind: MessageKind = "application",
) {
  const params = { path: { msgId, id } };
  return queryOptions({
    queryKey: ["messages", "attempt", msgId, id],
    queryFn: () =>
      answered(
        kind === "operational"
          ? api.GET("/v1/operational-webhooks/messages/{msgId}/attempts/{id}", { params })
          : api.GET("/v1/messages/{msgId}/attempts/{id}", { params }),
      ),
  });
}

export function explanationQuery(msgId: string, kind: MessageKind = "application") {
  return queryOptions({
    queryKey: ["messages", "explain", msgId],
    queryFn: () =>
      answered(
        kind === "operational"
          ? api.GET("/v1/operational-webhooks/messages/{msgId}/explain", { params: { path: { msgId } } })
          : api.GET("/v1/messages/{msgId}/explain", { params: { path: { msgId } } }),
      ),
    select: (answer) => answer.explanation,
  });
}

/** Deliveries that a retry sends again. */
export type RetryOf = { kind: "failed" } | { kind: "all" } | { kind: "endpoint"; endpointId: string };

/** Retries a message. `appId` is null for an operational message. */
export function retryMessage({ appId, msgId }: { appId: string | null; msgId: string }, what: RetryOf) {
  const body: Schemas["RetryMessage"] =
    what.kind === "failed"
      ? { only: "failed" }
      : what.kind === "endpoint"
        ? { endpoint_id: what.endpointId }
        : {};
  return answered(
    appId === null
      ? api.POST("/v1/operational-webhooks/messages/{msgId}/retry", { params: { path: { msgId } }, body })
      : api.POST("/v1/applications/{appId}/messages/{msgId}/retry", {
          params: { path: { appId, msgId } },
          body,
        }),
  );
}

export function sendMessage(appId: string, body: Schemas["SendMessage"]) {
  return answered(api.POST("/v1/applications/{appId}/messages", { params: { path: { appId } }, body }));
}

/** Filters of attempts, as the API names them. */
export interface AttemptFilters {
  status?: "success" | "failed";
  status_code_class?: "none" | "1xx" | "2xx" | "3xx" | "4xx" | "5xx";
}

/** Latest attempts of one endpoint. */
export function endpointAttemptsQuery({ appId, id }: EndpointPath, filters: AttemptFilters) {
  return infiniteQueryOptions({
    queryKey: ["attempts", appId, id, filters],
    queryFn: ({ pageParam }) => {
      const query = { limit: 50, ...filters, ...(pageParam ? { cursor: pageParam } : {}) };
      return answered(
        appId === null
          ? api.GET("/v1/operational-webhooks/endpoints/{id}/attempts", { params: { path: { id }, query } })
          : api.GET("/v1/applications/{appId}/endpoints/{id}/attempts", {
              params: { path: { appId, id }, query },
            }),
      );
    },
    initialPageParam: "",
    getNextPageParam: (page) => (page.has_more ? (page.cursor ?? undefined) : undefined),
  });
}

/** Latest failed attempts of the environment. */
export const failedAttemptsQuery = queryOptions({
  queryKey: ["attempts", "failed"],
  queryFn: () => answered(api.GET("/v1/attempts", { params: { query: { limit: 100, status: "failed" } } })),
  select: (page) => page.attempts,
});
