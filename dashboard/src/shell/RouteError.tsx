/** Pages that cannot be shown: an unknown address, and an error that no part of a page caught. */
import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { ErrorState } from "@/components/feedback/ErrorState";
import { EmptyState } from "@/components/feedback/EmptyState";
import { NotYourEnvironment } from "./linked-environment";

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
  if (error instanceof NotYourEnvironment) {
    return (
      <EmptyState
        title="This link leads to an environment that you do not have"
        actions={
          <Button component="a" href="/dashboard" variant="filled">
            Go to your environment
          </Button>
        }
      >
        You are not a member of its organization, or the environment was deleted. An administrator of the
        organization can invite you.
      </EmptyState>
    );
  }
  return (
    <div>
      <ErrorState what="The page" error={error} onRetry={() => location.reload()} />
      <Button component="a" href="/dashboard" variant="subtle">
        Go to Overview
      </Button>
    </div>
  );
}
