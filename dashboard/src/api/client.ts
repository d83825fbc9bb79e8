/** Client of the public API. The session's cookie goes along; the types come from the OpenAPI document. */
import { QueryClient } from "@tanstack/react-query";
import createClient from "openapi-fetch";
import { ApiError, hasStatus } from "./errors";
import type { components, paths } from "../../types/schema";

export type Schemas = components["schemas"];

export const api = createClient<paths>({ credentials: "same-origin" });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Returns the body of a successful answer, or throws the error of the API. */
export async function answered<T>(request: Promise<Answer<T>>): Promise<NonNullable<T>> {
  const answer = await request.catch(() => {
    throw new ApiError(0, null);
  });
  if (!answer.response.ok || answer.data === undefined || answer.data === null) {
    throw new ApiError(answer.response.status, answer.error);
  }
  return answer.data;
}

/** Retries what may pass by itself: no answer, or a busy server. Other answers stay as they are. */
function isWorthRetrying(failures: number, error: unknown): boolean {
  return failures < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 500);
}

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: { staleTime: 5_000, retry: isWorthRetrying, refetchOnWindowFocus: true },
  },
});

/** Calls `act` once a query finds that the session has ended. */
export function onSessionEnd(act: () => void): () => void {
  return queryClient.getQueryCache().subscribe((event) => {
    if (event.type === "updated" && event.action.type === "error" && hasStatus(event.action.error, 401))
      act();
  });
}
