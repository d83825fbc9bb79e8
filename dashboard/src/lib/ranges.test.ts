import { expect, test } from "vitest";
import { rangeOf, windowsOf } from "./ranges";

const now = new Date("2026-11-29T14:32:06Z");

test("today begins at midnight UTC and is compared with the same hours of yesterday", () => {
  const { now: today, before, shift } = windowsOf("today", now);
  expect(today).toEqual({
    after: "2026-11-29T00:00:00.000Z",
    before: "2026-11-29T15:00:00.000Z",
    granularity: "half_hour",
  });
  expect(before.after).toBe("2026-11-28T00:00:00.000Z");
  expect(before.before).toBe("2026-11-28T15:00:00.000Z");
  expect(shift).toBe(86_400_000);
});

test("windows stay the same until the next step begins", () => {
  const later = new Date(now.getTime() + 20_000);
  expect(windowsOf("1h", now)).toEqual(windowsOf("1h", later));
  expect(windowsOf("1h", now).now.after).toBe("2026-11-29T13:33:00.000Z");
});

test("an unknown range is today", () => {
  expect(rangeOf("2h").name).toBe("today");
  expect(rangeOf("7d").label).toBe("7 d");
});
