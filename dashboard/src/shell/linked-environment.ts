/** Environment that a link names, such as `/dashboard/alerts?org=…&env=…` in a notification. */
import { ApiError } from "@/api/errors";
import { turnTo } from "@/api/session";

/** Parameters of an address that name an environment. */
export interface LinkedEnvironment {
  org?: string;
  env?: string;
}

/** A link leads to an environment that the user does not have. */
export class NotYourEnvironment extends Error {}

interface Selected {
  org_id?: string | null;
  env_id?: string | null;
}

/** Returns what a session has to turn to for a link; null if it is there already. */
export function targetOf({ org, env }: LinkedEnvironment, session: Selected) {
  const isThere =
    (org === undefined || org === session.org_id) && (env === undefined || env === session.env_id);
  if (isThere) return null;
  return { ...(org ? { org_id: org } : {}), ...(env ? { env_id: env } : {}) };
}

/**
 * Turns the session to the environment of a link. Throws `NotYourEnvironment` if the server refuses it, so that no page of
 * another environment is shown in its place.
 */
export async function follow(link: LinkedEnvironment, session: Selected): Promise<void> {
  const target = targetOf(link, session);
  if (target === null) return;
  try {
    await turnTo(target);
  } catch (error) {
    const isRefused = error instanceof ApiError && [400, 403, 404].includes(error.status);
    throw isRefused ? new NotYourEnvironment("The environment of the link is not yours.") : error;
  }
}

/** Returns the search parameters of an address without those that name an environment. */
export function withoutEnvironment(search: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(search).filter(([name]) => name !== "org" && name !== "env"));
}
