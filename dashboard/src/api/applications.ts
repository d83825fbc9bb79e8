/** Applications: lists, single ones, and names by id. */
import { infiniteQueryOptions, queryOptions, useQueries } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";

export type Application = Schemas["Application"];

/** Pages of applications, newest first. */
export function applicationsQuery(search: string) {
  return infiniteQueryOptions({
    queryKey: ["applications", "list", search],
    queryFn: ({ pageParam }) =>
      answered(
        api.GET("/v1/applications", {
          params: {
            query: { limit: 50, ...(search ? { search } : {}), ...(pageParam ? { cursor: pageParam } : {}) },
          },
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => (page.has_more ? (page.cursor ?? undefined) : undefined),
  });
}

/** First matches of a search, for fields and for the palette. */
export function applicationChoicesQuery(search: string) {
  return queryOptions({
    queryKey: ["applications", "choices", search],
    queryFn: () =>
      answered(
        api.GET("/v1/applications", { params: { query: { limit: 20, ...(search ? { search } : {}) } } }),
      ),
    select: (page) => page.applications,
    staleTime: 30_000,
  });
}

export function applicationQuery(id: string) {
  return queryOptions({
    queryKey: ["applications", "one", id],
    queryFn: () => answered(api.GET("/v1/applications/{appId}", { params: { path: { appId: id } } })),
    select: (answer) => answer.application,
    staleTime: 30_000,
  });
}

/** Returns the names of applications by id. An application whose name is not known yet is missing. */
export function useApplicationNames(ids: string[]): Map<string, string> {
  const wanted = [...new Set(ids)];
  return useQueries({
    queries: wanted.map((id) => ({ ...applicationQuery(id), staleTime: 300_000 })),
    combine: (results) =>
      new Map(
        results.flatMap((result) => (result.data ? [[result.data.id, result.data.name] as const] : [])),
      ),
  });
}

export function createApplication(body: Schemas["CreateApplication"]) {
  return answered(api.POST("/v1/applications", { body }));
}

export function updateApplication(id: string, body: Schemas["UpdateApplication"]) {
  return answered(api.PATCH("/v1/applications/{appId}", { params: { path: { appId: id } }, body }));
}

export function deleteApplication(id: string) {
  return answered(api.DELETE("/v1/applications/{appId}", { params: { path: { appId: id } } }));
}

export function createPortalAccess(id: string, isReadOnly: boolean) {
  return answered(
    api.POST("/v1/applications/{appId}/portal-access", {
      params: { path: { appId: id } },
      body: { read_only: isReadOnly },
    }),
  );
}
