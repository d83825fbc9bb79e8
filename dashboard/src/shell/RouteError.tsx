/** Pages that cannot be shown: an unknown address, and an error that no part of a page caught. */
import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { ErrorState } from "@/components/feedback/ErrorState";
import { EmptyState } from "@/components/feedback/EmptyState";

export function NotFound() {
  return (
    <EmptyState
      title="There is no page at this address"
      actions={<Link to="/dashboard">Go to Overview</Link>}
    >
      It may have been moved, or the address is cut off.
    </EmptyState>
  );
}

export function RouteError({ error }: { error: unknown }) {
  return (
    <div>
      <ErrorState what="The page" error={error} onRetry={() => location.reload()} />
      <Button component="a" href="/dashboard" variant="subtle">
        Go to Overview
      </Button>
    </div>
  );
}
