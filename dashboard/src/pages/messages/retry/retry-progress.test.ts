import { expect, test } from "vitest";
import type { Job } from "@/api/jobs";
import { sumOf } from "./retry-progress";

const job = (status: Job["status"], total: number | null, requeued: number, skipped = 0) =>
  ({ status, total, requeued, skipped, processed: requeued + skipped, rate_limit: 100 }) as Job;

test("jobs that run side by side are summed up", () => {
  expect(sumOf([job("running", 1000, 400), job("running", 300, 100), job("completed", 50, 45, 5)])).toEqual({
    status: "running",
    total: 1350,
    processed: 550,
    requeued: 545,
    skipped: 5,
    ended: 1,
    failed: 0,
    secondsLeft: 6,
  });
  expect(sumOf([job("running", null, 1), job("running", 300, 100)])).toMatchObject({
    total: null,
    secondsLeft: null,
  });
});

test("the worst end counts once none runs", () => {
  expect(sumOf([job("completed", 1, 1), job("failed", 9, 2)])).toMatchObject({
    status: "failed",
    failed: 1,
    ended: 2,
    secondsLeft: 0,
  });
});

test("no job is done", () => {
  expect(sumOf([])).toMatchObject({ status: "completed", total: 0, ended: 0 });
});
