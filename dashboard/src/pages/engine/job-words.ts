/** Jobs in words. */
import type { Job } from "@/api/jobs";
import { count } from "@/lib/words/numbers";

/** Returns the seconds until a job has requeued everything; null while its total is not known. */
export function secondsLeft(job: Pick<Job, "total" | "processed" | "rate_limit">): number | null {
  if (job.total === null || job.total === undefined) return null;
  return Math.ceil(Math.max(0, job.total - job.processed) / Math.max(1, job.rate_limit));
}

/** Returns how a job ended: `Recovered 655 of 657. 2 were left out.` */
export function endOfJob(job: Pick<Job, "kind" | "status" | "requeued" | "skipped" | "total">): string {
  const verb = job.kind === "replay" ? "Replayed" : "Recovered";
  const total = job.total === null || job.total === undefined ? "" : ` of ${count(job.total)}`;
  const rest =
    job.skipped === 0 ? "" : ` ${count(job.skipped)} ${job.skipped === 1 ? "was" : "were"} left out.`;
  return `${verb} ${count(job.requeued)}${total}.${rest}`;
}
