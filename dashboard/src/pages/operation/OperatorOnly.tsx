/** What stands in place of a page that only operators read, or of one that did not load. */
import type { UseQueryResult } from "@tanstack/react-query";
import type { ComponentType } from "react";
import { hasStatus } from "@/api/errors";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";

interface Props {
  what: string;
  icon: ComponentType<{ size?: number; stroke?: number }>;
  scope: string;
  query: UseQueryResult<unknown>;
}

export function OperatorOnly({ what, icon, scope, query }: Props) {
  return hasStatus(query.error, 403) ? (
    <EmptyState icon={icon} title={`Only the operator sees ${what.toLowerCase()}`}>
      Owners of the first organization read it, and API keys with the scope {scope}.
    </EmptyState>
  ) : (
    <ErrorState what={what} error={query.error} onRetry={() => void query.refetch()} />
  );
}
