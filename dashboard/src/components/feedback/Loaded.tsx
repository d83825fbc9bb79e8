/** Part of a page that waits for a query. */
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ErrorState } from "./ErrorState";
import { Skeletons } from "./Skeletons";

/** Shows what a query read, or its shape, or its error. */
export function Loaded<T>({
  what,
  query,
  children,
}: {
  what: string;
  query: UseQueryResult<T>;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.isError)
    return <ErrorState what={what} error={query.error} onRetry={() => void query.refetch()} />;
  return <Skeletons rows={4} />;
}
