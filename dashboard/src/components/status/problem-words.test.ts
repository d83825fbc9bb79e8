import { expect, test } from "vitest";
import type { Problem } from "@/api/problems";
import { noteForCustomer, problemState, subjectWords, waitingWords } from "./problem-words";

const problem: Problem = {
  kind: "circuit_open",
  severity: "critical",
  subject: {
    kind: "endpoint",
    id: "e",
    name: "https://hooks.haverbrook.example/v2/orders",
    application_id: "a",
    application_name: "Haverbrook Foods",
  },
  cause: { code: "http_status", params: {}, sentence: "The receiver answers 503." },
  since: "2026-11-29T13:44:00.000Z",
  disables_at: "2026-12-04T13:44:00.000Z",
  waiting: 12_481,
  remedy: { action: "probe_now" },
};

test("a problem says who, what and how many", () => {
  expect(problemState(problem).word).toBe("Circuit open");
  expect(subjectWords(problem)).toEqual({
    name: "Haverbrook Foods",
    detail: "hooks.haverbrook.example/v2/orders",
  });
  expect(waitingWords(problem)).toBe("12,481 waiting");
  expect(waitingWords({ ...problem, kind: "deliveries_missed", waiting: 657 })).toBe("657 missed");
});

test("a problem of the installation is about no deliveries", () => {
  const quota: Problem = { ...problem, kind: "quota", severity: "notice", subject: { kind: "organization" } };
  expect(problemState(quota).word).toBe("Soon");
  expect(problemState({ ...quota, severity: "critical" }).word).toBe("Used up");
  expect(waitingWords(quota)).toBe("");
});

test("the note for a customer has cause, time, what waits and what happens next", () => {
  expect(noteForCustomer(problem)).toBe(
    [
      "Webhooks to https://hooks.haverbrook.example/v2/orders do not arrive.",
      "The receiver answers 503.",
      "Since: 29 Nov 2026, 13:44 UTC.",
      "Waiting: 12,481. They are kept and are sent once the receiver answers.",
      "If nothing changes, sending stops at 4 Dec 2026, 13:44 UTC.",
    ].join("\n"),
  );
});
