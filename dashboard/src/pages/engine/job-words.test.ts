import { expect, test } from "vitest";
import { endOfJob, secondsLeft } from "./job-words";

test("a job says how it ended", () => {
  const job = { kind: "recover", status: "completed" as const, requeued: 655, skipped: 2, total: 657 };
  expect(endOfJob(job)).toBe("Recovered 655 of 657. 2 were left out.");
  expect(endOfJob({ ...job, kind: "replay", skipped: 0, total: null })).toBe("Replayed 655.");
});

test("what is left follows from the rate", () => {
  expect(secondsLeft({ total: 657, processed: 407, rate_limit: 60 })).toBe(5);
  expect(secondsLeft({ total: null, processed: 407, rate_limit: 60 })).toBeNull();
});
