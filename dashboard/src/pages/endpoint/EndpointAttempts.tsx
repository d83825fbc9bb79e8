/** Latest attempts of an endpoint, with their waterfall on one scale. */
import { SegmentedControl } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { EndpointPath } from "@/api/endpoints";
import { useLive } from "@/api/live";
import { endpointAttemptsQuery, kindOf } from "@/api/messages";
import { OPERATIONAL_POLL_MS } from "@/api/operational";
import { messageLink } from "@/components/data/links";
import { WaterfallBar } from "@/components/data/Waterfall";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { IdCopy } from "@/components/status/IdCopy";
import { attemptState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { Button } from "@mantine/core";
import { scaleOf } from "../message/Attempts";
import classes from "../pages.module.css";

type Shown = "all" | "failed" | "success";

export function EndpointAttempts({ path }: { path: EndpointPath }) {
  const [shown, setShown] = useState<Shown>("all");
  const list = useInfiniteQuery({
    ...endpointAttemptsQuery(path, shown === "all" ? {} : { status: shown }),
    refetchInterval: (query) =>
      path.appId === null && query.state.data?.pages.length === 1 ? OPERATIONAL_POLL_MS : false,
  });
  const isFirstPage = list.data?.pages.length === 1;
  useLive("attempts", async () => {
    // Later pages stay as they were read, so that nothing moves under the reader.
    if (isFirstPage && !document.querySelector("main")?.matches(":focus-within")) await list.refetch();
  });
  const attempts = list.data?.pages.flatMap((page) => page.attempts) ?? [];
  const scale = scaleOf(attempts);
  return (
    <Card
      title="Latest attempts"
      aside={
        <SegmentedControl
          value={shown}
          onChange={(value) => setShown(value as Shown)}
          data={[
            { value: "all", label: "All" },
            { value: "failed", label: "Failed" },
            { value: "success", label: "Succeeded" },
          ]}
        />
      }
    >
      {list.isError && <ErrorState what="Attempts" error={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && <Skeletons rows={8} />}
      {list.isSuccess && attempts.length === 0 && (
        <EmptyState title="No attempt yet">Attempts show up here as they are made.</EmptyState>
      )}
      {attempts.length > 0 && (
        <PlainTable
          label="Latest attempts"
          rows={attempts}
          idOf={(attempt) => attempt.id}
          columns={[
            {
              head: "Answer",
              cell: (attempt) => (
                <StatusBadge state={attemptState(attempt)} detail={attempt.error ?? undefined} />
              ),
            },
            {
              head: "Event type",
              cell: (attempt) => (
                <Link
                  className="link-plain name"
                  {...messageLink(kindOf(path), attempt.message_id, {
                    delivery: path.id,
                    attempt: attempt.id,
                  })}
                >
                  {attempt.event_type}
                </Link>
              ),
            },
            { head: "Message", cell: (attempt) => <IdCopy value={attempt.message_id} /> },
            { head: "Attempt", cell: (attempt) => `${attempt.attempt_number}, ${attempt.trigger_type}` },
            {
              head: "Times",
              cell: (attempt) =>
                attempt.waterfall ? (
                  <WaterfallBar
                    times={attempt.waterfall}
                    durationMs={attempt.duration_ms}
                    hasAnswer={Boolean(attempt.response_status)}
                    scaleMs={scale}
                  />
                ) : null,
            },
            { head: "Took", cell: (attempt) => duration(attempt.duration_ms), isNumber: true },
            { head: "Began", cell: (attempt) => <RelativeTime value={attempt.created_at} />, isNumber: true },
          ]}
        />
      )}
      {list.hasNextPage && (
        <div className={classes.sum}>
          <Button loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
            Show older attempts
          </Button>
        </div>
      )}
    </Card>
  );
}
