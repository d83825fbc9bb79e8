/** Session of the signed-in user: who they are, their organization, environment and role. */
import { queryOptions, useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { may, type Permission, type Role } from "@/lib/permissions";
import { answered, api, queryClient } from "./client";
import { hasStatus } from "./errors";

/** Session, or null for somebody who is not signed in. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async () => {
    try {
      return await answered(api.GET("/v1/auth/session"));
    } catch (error) {
      if (hasStatus(error, 401)) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

/** Returns the session of a page behind the sign-in. */
export function useSession() {
  const { data } = useSuspenseQuery(sessionQuery);
  if (data === null) throw new Error("the page is behind the sign-in");
  return data;
}

/** Returns the user's role in the selected organization. */
export function useRole(): Role | null {
  const { data } = useQuery(sessionQuery);
  return data?.memberships.find((one) => one.org_id === data.org_id)?.role ?? null;
}

/** Returns whether the user may do this. What they may not do is absent. */
export function useMay(permission: Permission): boolean {
  return may(useRole(), permission);
}

/** Selects another environment or organization. Everything known belongs to the old one and is dropped. */
export async function turnTo(target: { env_id?: string; org_id?: string }): Promise<void> {
  await answered(api.PATCH("/v1/auth/session", { body: target }));
  await queryClient.cancelQueries();
  queryClient.clear();
}

/** Ends the session and forgets everything that was read with it. */
export async function signOut(): Promise<void> {
  await answered(api.POST("/v1/auth/sign-out"));
  queryClient.clear();
}

/** Ways to sign in: identity providers, and whether this installation sends mail. */
export const providersQuery = queryOptions({
  queryKey: ["providers"],
  queryFn: () => answered(api.GET("/v1/auth/providers")),
  staleTime: 60_000,
});
