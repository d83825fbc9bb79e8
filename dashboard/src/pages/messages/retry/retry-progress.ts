/** Several jobs as one. */
import type { Job } from "@/api/jobs";
import { secondsLeft } from "../../engine/job-words";

export interface SumOfJobs {
  /** The worst state of the ended ones, once none runs. */
  status: Job["status"];
  /** Null while the total of one is not known. */
  total: number | null;
  processed: number;
  requeued: number;
  skipped: number;
  ended: number;
  failed: number;
  /** Until the last one has requeued everything. */
  secondsLeft: number | null;
}

const ORDER: Job["status"][] = ["running", "failed", "cancelled", "completed"];

/** Sums up jobs that run side by side. */
export function sumOf(jobs: Job[]): SumOfJobs {
  const add = (field: "processed" | "requeued" | "skipped") => jobs.reduce((sum, job) => sum + job[field], 0);
  const totals = jobs.map((job) => job.total ?? null);
  const left = jobs.filter((job) => job.status === "running").map(secondsLeft);
  return {
    status: ORDER.find((status) => jobs.some((job) => job.status === status)) ?? "completed",
    total: totals.includes(null) ? null : totals.reduce<number>((sum, total) => sum + (total ?? 0), 0),
    processed: add("processed"),
    requeued: add("requeued"),
    skipped: add("skipped"),
    ended: jobs.filter((job) => job.status !== "running").length,
    failed: jobs.filter((job) => job.status === "failed").length,
    secondsLeft: left.includes(null) ? null : Math.max(0, ...left.map((seconds) => seconds ?? 0)),
  };
}
