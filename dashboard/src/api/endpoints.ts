/** Endpoints of applications: lists, single ones, and what can be done to one. */
import { infiniteQueryOptions, queryOptions, useQueries } from "@tanstack/react-query";
import { shortUrl } from "@/lib/words/ids";
import { answered, api, type Schemas } from "./client";

export type Endpoint = Schemas["Endpoint"];

/** Path of an endpoint in the API. */
export interface EndpointPath {
  appId: string;
  id: string;
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

/** Endpoint with its application, for lists over all applications. */
export interface OwnedEndpoint extends Endpoint {
  applicationName: string;
}

/**
 * Pages of endpoints of all applications. The API lists endpoints by application, so a page is one page of applications
 * with the endpoints of each.
 */
export const allEndpointsQuery = infiniteQueryOptions({
  queryKey: ["endpoints", "all"],
  queryFn: async ({ pageParam }) => {
    const query = { limit: 20, ...(pageParam ? { cursor: pageParam } : {}) };
    const page = await answered(api.GET("/v1/applications", { params: { query } }));
    const owners = page.applications.filter((application) => application.endpoint_count !== 0);
    const lists = await Promise.all(
      owners.map(async (application): Promise<OwnedEndpoint[]> => {
        const params = { path: { appId: application.id }, query: { limit: 100 } };
        const list = await answered(api.GET("/v1/applications/{appId}/endpoints", { params }));
        return list.endpoints.map((endpoint) => ({ ...endpoint, applicationName: application.name }));
      }),
    );
    return {
      endpoints: lists.flat(),
      cursor: page.has_more ? page.cursor : null,
      applications: page.applications.length,
    };
  },
  initialPageParam: "",
  getNextPageParam: (page) => page.cursor ?? undefined,
});

export function endpointQuery(path: EndpointPath) {
  return queryOptions({
    queryKey: ["endpoints", "one", path.appId, path.id],
    queryFn: () => answered(api.GET("/v1/applications/{appId}/endpoints/{id}", { params: { path } })),
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

export function createEndpoint(appId: string, body: Schemas["CreateEndpoint"]) {
  return answered(api.POST("/v1/applications/{appId}/endpoints", { params: { path: { appId } }, body }));
}

export function updateEndpoint(path: EndpointPath, body: Schemas["UpdateEndpoint"]) {
  return answered(api.PATCH("/v1/applications/{appId}/endpoints/{id}", { params: { path }, body }));
}

export function deleteEndpoint(path: EndpointPath) {
  return answered(api.DELETE("/v1/applications/{appId}/endpoints/{id}", { params: { path } }));
}

export function resetCircuit(path: EndpointPath) {
  return answered(api.POST("/v1/applications/{appId}/endpoints/{id}/reset-circuit", { params: { path } }));
}

export function sendTest(path: EndpointPath, body: Schemas["TestEndpoint"]) {
  return answered(api.POST("/v1/applications/{appId}/endpoints/{id}/test", { params: { path }, body }));
}

export function rotateSecret(path: EndpointPath, graceSeconds: number) {
  const body = { grace_seconds: graceSeconds };
  return answered(
    api.POST("/v1/applications/{appId}/endpoints/{id}/rotate-secret", { params: { path }, body }),
  );
}

export function revealSecret(path: EndpointPath) {
  return answered(api.GET("/v1/applications/{appId}/endpoints/{id}/secret", { params: { path } }));
}
