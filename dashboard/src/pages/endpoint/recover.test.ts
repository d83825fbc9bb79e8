import { expect, test } from "vitest";
import { commandOf, CUSTOM, secondsUntilArrived, startsOf, timeOfChoice } from "./recover";

const now = new Date("2026-11-29T14:32:06Z");

test("the history of the endpoint suggests where to start", () => {
  const starts = startsOf(
    { disabled_at: "2026-11-29T09:10:00.000Z", created_at: "2026-01-01T00:00:00.000Z" },
    { failing_since: null, circuit_open_since: null },
    now,
  );
  expect(starts[0]).toEqual({ value: "2026-11-29T09:10:00.000Z", label: "09:10, disabled" });
  expect(starts[starts.length - 1]?.value).toBe(CUSTOM);
});

test("a time of one's own counts once it is a time", () => {
  expect(timeOfChoice(CUSTOM, "", now)).toBeNull();
  expect(timeOfChoice(CUSTOM, "2026-11-29T10:00Z", now)).toBe("2026-11-29T10:00:00.000Z");
  expect(timeOfChoice("1h", "", now)).toBe("2026-11-29T13:32:00.000Z");
});

test("what is requeued arrives behind what waits", () => {
  const health = { backlog: { pending: 12_481, in_memory: 0, in_store: 0 }, per_second: null };
  expect(secondsUntilArrived({ count: 214, duration_s: 4 }, health, 60)).toBeCloseTo(211.6, 1);
  expect(secondsUntilArrived({ count: 214, duration_s: 4 }, health, null)).toBeNull();
});

test("the command starts the same job", () => {
  const body = { since: "2026-11-29T09:10:00.000Z", rate_limit: 60, statuses: ["skipped"] };
  expect(commandOf({ kind: "recover", body }, "0198b2", "haverbrook")).toBe(
    "hookstream endpoints recover 0198b2 --app haverbrook --since 2026-11-29T09:10:00.000Z --statuses skipped",
  );
});
