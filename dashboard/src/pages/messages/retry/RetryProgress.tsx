/** Progress of the jobs of a retry, as one, and its result. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { IconInfoCircle } from "@tabler/icons-react";
import { useEffect, useMemo } from "react";
import { queryClient } from "@/api/client";
import { JOB_POLL_MS, type Job, jobsByIdQuery } from "@/api/jobs";
import { Figures } from "@/components/page/Card";
import { jobState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { span } from "@/lib/words/durations";
import { splitError } from "@/lib/words/errors";
import { count } from "@/lib/words/numbers";
import classes from "@/components/dry-run/DryRun.module.css";
import { JobBar } from "../../engine/JobTable";
import { endOfJob } from "../../engine/job-words";
import { sumOf } from "./retry-progress";

export function RetryProgress({
  jobs: started,
  onClose,
}: {
  jobs: Job[];
  onClose: (isRunning: boolean) => void;
}) {
  const ids = useMemo(() => started.map((job) => job.id), [started]);
  const { data } = useQuery({
    ...jobsByIdQuery(ids),
    refetchInterval: (query) =>
      query.state.data?.every((job) => job.status !== "running") ? false : JOB_POLL_MS,
  });
  const jobs = started.map((job) => data?.find((one) => one.id === job.id) ?? job);
  const sum = sumOf(jobs);
  const reason = jobs.find((job) => job.status === "failed")?.error;
  const isRunning = sum.status === "running";
  useEffect(() => {
    if (isRunning) return;
    for (const name of ["endpoints", "problems", "messages", "message-counts", "jobs"])
      void queryClient.invalidateQueries({ queryKey: [name] });
  }, [isRunning]);
  return (
    <>
      <div className={classes.part}>
        <div className="row between-ends">
          <StatusBadge state={jobState(sum.status)} isTinted />
          <span className="small ink-2 number">
            {isRunning
              ? sum.secondsLeft === null
                ? "counting"
                : `${span(sum.secondsLeft)} left`
              : endOfJob({ ...sum, kind: "recover" })}
          </span>
        </div>
        <JobBar job={sum} />
      </div>
      <div className={classes.progress}>
        <Figures
          figures={[
            {
              label: "Requeued",
              value: count(sum.requeued),
              note: sum.total === null ? "total not counted yet" : `of ${count(sum.total)}`,
            },
            {
              label: "Endpoints done",
              value: count(sum.ended),
              note: `of ${count(jobs.length)}${sum.failed > 0 ? `, ${count(sum.failed)} failed` : ""}`,
              isBad: sum.failed > 0,
            },
            { label: "Left out", value: count(sum.skipped), note: "pending already, or no payload" },
          ]}
        />
      </div>
      {reason && (
        <p className={classes.warning}>
          <IconInfoCircle size={15} stroke={1.8} />
          <span>{splitError(reason).sentence}</span>
        </p>
      )}
      <div className={classes.foot}>
        <Link to="/dashboard/jobs">All jobs</Link>
        <Button variant="filled" onClick={() => onClose(isRunning)}>
          {isRunning ? "Close, they run on" : "Close"}
        </Button>
      </div>
    </>
  );
}
