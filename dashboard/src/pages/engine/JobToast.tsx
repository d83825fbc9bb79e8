/** Toast of a job: it stays and shows its progress until it is closed. */
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { JOB_POLL_MS, type Job, jobQuery } from "@/api/jobs";
import { jobState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { count } from "@/lib/words/numbers";
import { JobBar } from "./JobTable";

function show(job: Job, name: string): void {
  notifications.show({ id: job.id, autoClose: false, message: <Progress id={job.id} name={name} /> });
}

function Progress({ id, name }: { id: string; name: string }) {
  const { data: job } = useQuery({
    ...jobQuery(id),
    refetchInterval: (query) =>
      query.state.data?.job.status === "running" || !query.state.data ? JOB_POLL_MS : false,
  });
  if (!job) return null;
  const verb = job.kind === "replay" ? "Replay to" : "Recover";
  return (
    <div className="stack-small">
      <span className="row">
        <span className="grow cut name">
          {verb} {name}
        </span>
        {job.status === "running" ? (
          <span className="small ink-2 number">
            {count(job.requeued)}
            {job.total ? ` of ${count(job.total)}` : ""}
          </span>
        ) : (
          <StatusBadge state={jobState(job.status)} />
        )}
      </span>
      <JobBar job={job} />
      {job.status !== "running" && (
        <span className="small ink-2">
          {count(job.requeued)} requeued, {count(job.skipped)} left out.
        </span>
      )}
    </div>
  );
}

export const JobToast = { show };
