/** Jobs of the environment: recover and replay. */
import { Button, SegmentedControl } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { IconListCheck } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type Job, jobsQuery } from "@/api/jobs";
import { useLive } from "@/api/live";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { LiveState } from "@/components/page/LiveState";
import { Page, Title } from "@/components/page/Page";
import { counted } from "@/lib/words/numbers";
import { JobTable } from "./JobTable";

const SHOWN: { value: "" | Job["status"]; label: string }[] = [
  { value: "", label: "All" },
  { value: "running", label: "Running" },
  { value: "completed", label: "Completed" },
  { value: "failed", label: "Failed" },
  { value: "cancelled", label: "Cancelled" },
];

export function Jobs() {
  const navigate = useNavigate();
  const search = useSearch({ from: "/dashboard/jobs" });
  const status = SHOWN.find((one) => one.value === search.status)?.value ?? "";
  const list = useInfiniteQuery({
    ...jobsQuery(status),
    refetchInterval: (query) => (isRunning(query.state.data?.pages) ? 1000 : false),
  });
  useLive("jobs", () => list.refetch());
  const jobs = list.data?.pages.flatMap((page) => page.jobs) ?? [];
  const running = jobs.filter((job) => job.status === "running").length;
  return (
    <Page crumbs={[{ label: "Jobs" }]} actions={<LiveState />}>
      <div className="row-wrap between-ends">
        <Title text={running > 0 ? `${counted(running, "job")} running` : "No job is running"} />
        <SegmentedControl
          value={status}
          onChange={(value) =>
            void navigate({ to: "/dashboard/jobs", search: value ? { status: value } : {} })
          }
          data={SHOWN}
        />
      </div>
      <Card>
        {list.isError && <ErrorState what="Jobs" error={list.error} onRetry={() => void list.refetch()} />}
        {list.isPending && <Skeletons rows={6} />}
        {list.isSuccess && jobs.length === 0 && (
          <EmptyState icon={IconListCheck} title="No jobs">
            Recover and replay run as jobs. They start from an endpoint.
          </EmptyState>
        )}
        {jobs.length > 0 && <JobTable jobs={jobs} />}
      </Card>
      {list.hasNextPage && (
        <div>
          <Button loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
            Show older jobs
          </Button>
        </div>
      )}
    </Page>
  );
}

function isRunning(pages: { jobs: Job[] }[] | undefined): boolean {
  return pages?.some((page) => page.jobs.some((job) => job.status === "running")) ?? false;
}
