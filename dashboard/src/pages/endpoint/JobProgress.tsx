/** Progress of a job that was just started, and its result. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { queryClient } from "@/api/client";
import { JOB_POLL_MS, type Job, jobQuery } from "@/api/jobs";
import { Figures } from "@/components/page/Card";
import { jobState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { span } from "@/lib/words/durations";
import { count } from "@/lib/words/numbers";
import { JobBar } from "../engine/JobTable";
import { endOfJob, secondsLeft } from "../engine/job-words";
import classes from "@/components/dry-run/DryRun.module.css";

export function JobProgress({ job: started, onClose }: { job: Job; onClose: (isRunning: boolean) => void }) {
  const { data } = useQuery({
    ...jobQuery(started.id),
    refetchInterval: (query) => (query.state.data?.job.status === "running" ? JOB_POLL_MS : false),
  });
  const job = data ?? started;
  const isRunning = job.status === "running";
  useEffect(() => {
    if (isRunning) return;
    for (const name of ["endpoints", "problems", "messages", "jobs"])
      void queryClient.invalidateQueries({ queryKey: [name] });
  }, [isRunning]);
  const left = secondsLeft(job);
  return (
    <>
      <div className={classes.part}>
        <div className="row between-ends">
          <StatusBadge state={jobState(job.status)} isTinted />
          <span className="small ink-2 number">
            {isRunning ? (left === null ? "counting" : `${span(left)} left`) : endOfJob(job)}
          </span>
        </div>
        <JobBar job={job} />
      </div>
      <div className={classes.progress}>
        <Figures
          figures={[
            {
              label: "Requeued",
              value: count(job.requeued),
              note:
                job.total === null || job.total === undefined
                  ? "total not counted yet"
                  : `of ${count(job.total)}`,
            },
            { label: "Left out", value: count(job.skipped), note: "pending already, or no payload" },
            { label: "Rate", value: `${count(job.rate_limit)}/s`, note: "at most" },
          ]}
        />
      </div>
      <div className={classes.foot}>
        <Link to="/dashboard/jobs">All jobs</Link>
        <Button variant="filled" onClick={() => onClose(isRunning)}>
          {isRunning ? "Close, it runs on" : "Close"}
        </Button>
      </div>
    </>
  );
}
