/** Jobs of one endpoint. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { jobsQuery } from "@/api/jobs";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Card } from "@/components/page/Card";
import { JobTable } from "../engine/JobTable";

export function EndpointJobs({ endpointId }: { endpointId: string }) {
  const list = useInfiniteQuery(jobsQuery(""));
  const jobs =
    list.data?.pages.flatMap((page) => page.jobs).filter((job) => job.endpoint_id === endpointId) ?? [];
  return (
    <Card title="Jobs" aside="among the latest of the environment">
      {list.isError && <ErrorState what="Jobs" error={list.error} onRetry={() => void list.refetch()} />}
      {list.isSuccess && jobs.length === 0 && (
        <EmptyState title="No jobs">Recover and replay run as jobs.</EmptyState>
      )}
      {jobs.length > 0 && <JobTable jobs={jobs} />}
    </Card>
  );
}
