/** Endpoints of applications: lists, single ones, and what can be done to one. */
import { queryOptions, useQueries } from "@tanstack/react-query";
import { shortUrl } from "@/lib/words/ids";
import { answered, api, type Schemas } from "./client";
import { own } from "./own-changes";

export type Endpoint = Schemas["Endpoint"];

/** Path of an endpoint in the API. */
export interface EndpointPath {
  /** Application of the endpoint; null for an operational endpoint, which belongs to the environment. */
  appId: string | null;
  id: string;
}

/** Path of an application's endpoint. */
export interface OwnedPath extends EndpointPath {
  appId: string;
}

/** Returns what an endpoint is called: its description, or else its address. */
export function nameOf(endpoint: Pick<Endpoint, "description" | "url">): string {
  return endpoint.description || shortUrl(endpoint.url);
}

/** Endpoints of one application, at most 100. */
export function endpointsQuery(appId: string) {
  return queryOptions({
    queryKey: ["endpoints", "of", appId],
    queryFn: () =>
      answered(
        api.GET("/v1/applications/{appId}/endpoints", { params: { path: { appId }, query: { limit: 100 } } }),
      ),
  });
}

/** Endpoint with its application's name and its health, for lists over all applications. */
export type ListedEndpoint = Schemas["ListedEndpoint"];
export type EndpointHealth = Schemas["EndpointHealth"];

/** Pages that are read at most: 2,000 endpoints. */
const MAX_PAGES = 20;

/** Endpoints of the environment, newest first. */
export interface AllEndpoints {
  endpoints: ListedEndpoint[];
  /** True if there are more than a list shows. */
  isPartial: boolean;
}

/**
 * All endpoints of the environment with their health. The API lists them newest first; those that need a person come
 * first on the page, so the whole list is read.
 */
export const allEndpointsQuery = queryOptions({
  queryKey: ["endpoints", "all"],
  queryFn: async ({ signal }): Promise<AllEndpoints> => {
    const endpoints: ListedEndpoint[] = [];
    let cursor: string | null | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const query: { limit: number; cursor?: string } = { limit: 100, ...(cursor ? { cursor } : {}) };
      const answer: Schemas["AllEndpointsList"] = await answered(
        api.GET("/v1/endpoints", { params: { query }, signal }),
      );
      endpoints.push(...answer.endpoints);
      cursor = answer.has_more ? answer.cursor : null;
      if (!cursor) break;
    }
    return { endpoints, isPartial: Boolean(cursor) };
  },
  staleTime: 10_000,
});

/** Health of one endpoint: its last 48 half hours, latency, circuit breaker, backlog and errors. */
export function healthQuery({ appId, id }: EndpointPath) {
  return queryOptions({
    queryKey: ["endpoints", "health", appId, id],
    queryFn: () =>
      answered(
        appId === null
          ? api.GET("/v1/operational-webhooks/endpoints/{id}/health", { params: { path: { id } } })
          : api.GET("/v1/applications/{appId}/endpoints/{id}/health", { params: { path: { appId, id } } }),
      ),
    select: (answer) => answer.health,
  });
}

export function endpointQuery({ appId, id }: EndpointPath) {
  return queryOptions({
    queryKey: ["endpoints", "one", appId, id],
    queryFn: () =>
      answered(
        appId === null
          ? api.GET("/v1/operational-webhooks/endpoints/{id}", { params: { path: { id } } })
          : api.GET("/v1/applications/{appId}/endpoints/{id}", { params: { path: { appId, id } } }),
      ),
    select: (answer) => answer.endpoint,
  });
}

/** Returns endpoints by id. An endpoint that is not known yet is missing. */
export function useEndpointsById(paths: EndpointPath[]): Map<string, Endpoint> {
  const wanted = [...new Map(paths.map((path) => [path.id, path])).values()];
  return useQueries({
    queries: wanted.map((path) => ({ ...endpointQuery(path), staleTime: 30_000 })),
    combine: (results) =>
      new Map(results.flatMap((result) => (result.data ? [[result.data.id, result.data] as const] : []))),
  });
}

export function createEndpoint(appId: string | null, body: Schemas["CreateEndpoint"]) {
  return answered(
    appId === null
      ? api.POST("/v1/operational-webhooks/endpoints", { body })
      : api.POST("/v1/applications/{appId}/endpoints", { params: { path: { appId } }, body }),
  );
}

export function updateEndpoint({ appId, id }: EndpointPath, body: Schemas["UpdateEndpoint"]) {
  return own(
    id,
    answered(
      appId === null
        ? api.PATCH("/v1/operational-webhooks/endpoints/{id}", { params: { path: { id } }, body })
        : api.PATCH("/v1/applications/{appId}/endpoints/{id}", { params: { path: { appId, id } }, body }),
    ),
  );
}

export function deleteEndpoint({ appId, id }: EndpointPath) {
  return answered(
    appId === null
      ? api.DELETE("/v1/operational-webhooks/endpoints/{id}", { params: { path: { id } } })
      : api.DELETE("/v1/applications/{appId}/endpoints/{id}", { params: { path: { appId, id } } }),
  );
}

export function resetCircuit({ appId, id }: EndpointPath) {
  return answered(
    appId === null
      ? api.POST("/v1/operational-webhooks/endpoints/{id}/reset-circuit", { params: { path: { id } } })
      : api.POST("/v1/applications/{appId}/endpoints/{id}/reset-circuit", {
          params: { path: { appId, id } },
        }),
  );
}

export function sendTest({ appId, id }: EndpointPath, body: Schemas["TestEndpoint"]) {
  return answered(
    appId === null
      ? api.POST("/v1/operational-webhooks/endpoints/{id}/test", { params: { path: { id } }, body })
      : api.POST("/v1/applications/{appId}/endpoints/{id}/test", { params: { path: { appId, id } }, body }),
  );
}

export function rotateSecret({ appId, id }: EndpointPath, graceSeconds: number) {
  const body = { grace_seconds: graceSeconds };
  return own(
    id,
    answered(
      appId === null
        ? api.POST("/v1/operational-webhooks/endpoints/{id}/rotate-secret", {
            params: { path: { id } },
            body,
          })
        : api.POST("/v1/applications/{appId}/endpoints/{id}/rotate-secret", {
            params: { path: { appId, id } },
            body,
          }),
    ),
  );
}

export function revealSecret({ appId, id }: EndpointPath) {
  return answered(
    appId === null
      ? api.GET("/v1/operational-webhooks/endpoints/{id}/secret", { params: { path: { id } } })
      : api.GET("/v1/applications/{appId}/endpoints/{id}/secret", { params: { path: { appId, id } } }),
  );
}
