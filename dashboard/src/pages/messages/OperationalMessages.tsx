/** Latest operational messages of the environment, or of one endpoint. */
import { Button, SegmentedControl } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { OPERATIONAL_POLL_MS, type OperationalFilters, operationalMessagesQuery } from "@/api/operational";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import classes from "../pages.module.css";
import { MessageTable } from "./MessageTable";

type Shown = "all" | NonNullable<OperationalFilters["status"]>;

export function OperationalMessages({ endpointId }: { endpointId?: string }) {
  const [shown, setShown] = useState<Shown>("all");
  const list = useInfiniteQuery({
    ...operationalMessagesQuery({
      ...(shown === "all" ? {} : { status: shown }),
      ...(endpointId === undefined ? {} : { endpoint_id: endpointId }),
    }),
    // Later pages stay as they were read, so that nothing moves under the reader.
    refetchInterval: (query) => (query.state.data?.pages.length === 1 ? OPERATIONAL_POLL_MS : false),
  });
  const messages = list.data?.pages.flatMap((page) => page.messages) ?? [];
  return (
    <Card
      title="Latest events"
      aside={
        <SegmentedControl
          aria-label="Status"
          value={shown}
          onChange={(value) => setShown(value as Shown)}
          data={[
            { value: "all", label: "All" },
            { value: "pending", label: "Pending" },
            { value: "failed", label: "Failed" },
          ]}
        />
      }
    >
      {list.isError && <ErrorState what="Events" error={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && <Skeletons rows={6} />}
      {list.isSuccess && messages.length === 0 && !list.hasNextPage && (
        <EmptyState title={shown === "all" ? "No event yet" : `No event is ${shown}`}>
          {shown === "all"
            ? "Events are written from the first endpoint on. Send a test to see one."
            : undefined}
        </EmptyState>
      )}
      {messages.length > 0 && (
        <MessageTable
          kind="operational"
          messages={messages}
          {...(endpointId === undefined ? {} : { endpointId })}
        />
      )}
      {list.hasNextPage && (
        <div className={classes.sum}>
          <Button loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
            Show older events
          </Button>
        </div>
      )}
    </Card>
  );
}
