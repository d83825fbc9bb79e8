/** Organizations, environments, members, invitations and API keys. */
import { queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";

export type Environment = Schemas["Environment"];
export type Member = Schemas["Member"];
export type Invitation = Schemas["Invitation"];
export type ApiKey = Schemas["ApiKey"];

export const organizationsQuery = queryOptions({
  queryKey: ["organizations"],
  queryFn: () => answered(api.GET("/v1/organizations")),
  select: (answer) => answer.organizations,
  staleTime: 60_000,
});

/** Environments of the selected organization, deleted ones included. */
export const environmentsQuery = queryOptions({
  queryKey: ["environments"],
  queryFn: () => answered(api.GET("/v1/environments")),
  select: (answer) => answer.environments,
  staleTime: 60_000,
});

export function membersQuery(orgId: string) {
  return queryOptions({
    queryKey: ["members", orgId],
    queryFn: () =>
      answered(
        api.GET("/v1/organizations/{orgId}/members", { params: { path: { orgId }, query: { limit: 100 } } }),
      ),
  });
}

export function invitationsQuery(orgId: string) {
  return queryOptions({
    queryKey: ["invitations", orgId],
    queryFn: () =>
      answered(
        api.GET("/v1/organizations/{orgId}/invitations", {
          params: { path: { orgId }, query: { limit: 100 } },
        }),
      ),
  });
}

export const apiKeysQuery = queryOptions({
  queryKey: ["api-keys"],
  queryFn: () => answered(api.GET("/v1/auth/api-keys", { params: { query: { limit: 100 } } })),
});

export function renameOrganization(orgId: string, name: string) {
  return answered(api.PATCH("/v1/organizations/{orgId}", { params: { path: { orgId } }, body: { name } }));
}

export function deleteOrganization(orgId: string) {
  return answered(api.DELETE("/v1/organizations/{orgId}", { params: { path: { orgId } } }));
}

export function createOrganization(name: string) {
  return answered(api.POST("/v1/organizations", { body: { name } }));
}

export function transferOwnership(orgId: string, userId: string) {
  const body = { user_id: userId };
  return answered(
    api.POST("/v1/organizations/{orgId}/transfer-ownership", { params: { path: { orgId } }, body }),
  );
}

export function createEnvironment(body: Schemas["CreateEnvironment"]) {
  return answered(api.POST("/v1/environments", { body }));
}

export function updateEnvironment(envId: string, body: Schemas["UpdateEnvironment"]) {
  return answered(api.PATCH("/v1/environments/{envId}", { params: { path: { envId } }, body }));
}

export function deleteEnvironment(envId: string) {
  return answered(api.DELETE("/v1/environments/{envId}", { params: { path: { envId } } }));
}

export function restoreEnvironment(envId: string) {
  return answered(api.POST("/v1/environments/{envId}/restore", { params: { path: { envId } } }));
}

export function updateMember(orgId: string, userId: string, body: Schemas["UpdateMember"]) {
  const params = { path: { orgId, userId } };
  return answered(api.PATCH("/v1/organizations/{orgId}/members/{userId}", { params, body }));
}

export function removeMember(orgId: string, userId: string) {
  return answered(
    api.DELETE("/v1/organizations/{orgId}/members/{userId}", { params: { path: { orgId, userId } } }),
  );
}

export function createInvitation(orgId: string, body: Schemas["CreateInvitation"]) {
  return answered(api.POST("/v1/organizations/{orgId}/invitations", { params: { path: { orgId } }, body }));
}

export function deleteInvitation(orgId: string, id: string) {
  return answered(
    api.DELETE("/v1/organizations/{orgId}/invitations/{id}", { params: { path: { orgId, id } } }),
  );
}

export function createApiKey(body: Schemas["CreateApiKey"]) {
  return answered(api.POST("/v1/auth/api-keys", { body }));
}

export function rotateApiKey(id: string, overlapSeconds: number) {
  const body = { overlap_seconds: overlapSeconds };
  return answered(api.POST("/v1/auth/api-keys/{id}/rotate", { params: { path: { id } }, body }));
}

export function revokeApiKey(id: string) {
  return answered(api.DELETE("/v1/auth/api-keys/{id}", { params: { path: { id } } }));
}
