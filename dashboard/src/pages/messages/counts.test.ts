import { expect, test } from "vitest";
import type { MessageCounts } from "@/api/messages";
import { byStatus, reachSentence, retryAllLabel, totalOf } from "./counts";

const counts = (is_exact: boolean, failed = 17): MessageCounts => ({
  counts: { delivered: 1204, pending: 0, failed, skipped: 3 },
  total: 1207 + failed,
  is_exact,
  took_ms: 14,
});

test("one count answers for every filter by status", () => {
  expect(totalOf(counts(true), {})).toBe("1,224");
  expect(totalOf(counts(false), { status: ["failed"] })).toBe("17+");
  expect(totalOf(counts(false, 0), { status: ["failed"] })).toBeNull();
  expect(byStatus(counts(true), {})).toBe("1,204 delivered, 17 failed, 3 skipped");
  expect(byStatus(counts(true), { status: ["failed"] })).toBe("");
});

test("the retry of all names what it sends, and is absent where there is nothing", () => {
  expect(retryAllLabel({}, counts(true))).toBe("Retry all 17 failed…");
  expect(retryAllLabel({ status: ["failed", "skipped"] }, counts(true))).toBe(
    "Retry all failed and skipped…",
  );
  expect(retryAllLabel({}, counts(false))).toBe("Retry all 17+ failed…");
  expect(retryAllLabel({}, undefined)).toBe("Retry all failed…");
  expect(retryAllLabel({}, counts(false, 0))).toBe("Retry all failed…");
  expect(retryAllLabel({}, counts(true, 0))).toBeNull();
  expect(retryAllLabel({ status: ["delivered"] }, counts(true))).toBeNull();
});

test("the reach of the text search is a sentence", () => {
  const now = new Date("2026-11-29T14:00:00.000Z");
  const reach = {
    complete_since: "2026-11-19T00:00:00.000Z",
    indexed_until: "2026-11-29T13:59:49.000Z",
    lag_s: 11,
  };
  expect(reachSentence(reach, now)).toBe(
    "The text index is complete back to 19 Nov, 00:00. Older messages are found by id, type and time.",
  );
  expect(reachSentence({ ...reach, lag_s: 125 }, now).replaceAll("\u202f", " ")).toContain(
    "It does not have the newest 2 min 05 s yet.",
  );
  expect(reachSentence(null, now)).toContain("no text index");
});
