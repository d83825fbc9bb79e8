/** Jobs as rows: kind, target, progress, rate and cancelling. */
import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { queryClient } from "@/api/client";
import { nameOf, useEndpointsById } from "@/api/endpoints";
import { cancelJob, type Job } from "@/api/jobs";
import { useMay } from "@/api/session";
import { toast } from "@/components/feedback/toast";
import { IdCopy } from "@/components/status/IdCopy";
import { jobState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { shortId } from "@/lib/words/ids";
import { count } from "@/lib/words/numbers";
import classes from "../pages.module.css";

export function JobTable({ jobs }: { jobs: Job[] }) {
  const endpoints = useEndpointsById(jobs.map((job) => ({ appId: job.application_id, id: job.endpoint_id })));
  const mayCancel = useMay("jobs:write");
  const cancelling = useMutation({
    mutationFn: (job: Job) => cancelJob(job.id),
    onSuccess: async () => {
      toast("The job is cancelled. What it requeued stays pending.");
      await queryClient.invalidateQueries({ queryKey: ["jobs"] });
    },
  });
  return (
    <PlainTable
      label="Jobs"
      rows={jobs}
      idOf={(job) => job.id}
      columns={[
        {
          head: "Status",
          cell: (job) => <StatusBadge state={jobState(job.status)} detail={job.error ?? undefined} />,
        },
        {
          head: "Kind",
          cell: (job) => (job.kind === "replay" ? "Replay" : job.kind === "recover" ? "Recover" : job.kind),
        },
        {
          head: "Endpoint",
          cell: (job) => {
            const endpoint = endpoints.get(job.endpoint_id);
            return (
              <Link
                to="/dashboard/endpoints/$appId/$id"
                params={{ appId: job.application_id, id: job.endpoint_id }}
                className="link-plain name"
              >
                {endpoint ? nameOf(endpoint) : shortId(job.endpoint_id)}
              </Link>
            );
          },
        },
        { head: "Job", cell: (job) => <IdCopy value={job.id} /> },
        { head: "Progress", cell: (job) => <JobBar job={job} /> },
        {
          head: "Requeued",
          cell: (job) =>
            `${count(job.requeued)}${job.total === null || job.total === undefined ? "" : ` of ${count(job.total)}`}`,
          isNumber: true,
        },
        { head: "Left out", cell: (job) => count(job.skipped), isNumber: true },
        { head: "Rate", cell: (job) => `${count(job.rate_limit)}/s`, isNumber: true },
        { head: "Started", cell: (job) => <RelativeTime value={job.created_at} />, isNumber: true },
        {
          head: "Acts",
          cell: (job) =>
            job.status === "running" && mayCancel ? (
              <Button
                loading={cancelling.isPending && cancelling.variables.id === job.id}
                onClick={() => cancelling.mutate(job)}
              >
                Cancel
              </Button>
            ) : null,
        },
      ]}
    />
  );
}

export function JobBar({ job }: { job: Pick<Job, "total" | "processed" | "status"> }) {
  const share = job.total ? Math.min(1, job.processed / job.total) : job.status === "completed" ? 1 : 0;
  return (
    <div
      className={`${classes.bar ?? ""} ${classes.jobBar ?? ""}`}
      data-running={job.status === "running" || undefined}
      role="progressbar"
      aria-label="Progress"
      aria-valuenow={Math.round(share * 100)}
    >
      <span style={{ width: `${share * 100}%` }} />
    </div>
  );
}
