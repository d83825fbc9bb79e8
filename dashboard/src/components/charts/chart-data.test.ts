import { describe, expect, test } from "vitest";
import type { DeliveryStep } from "@/api/metrics";
import { latencyTop, rateRows, ticksDownTo, ticksUpTo, timeTicks, volumeRows } from "./chart-data";

const step = (hour: number, due: number, arrived: number) =>
  ({
    bucket: new Date(Date.UTC(2026, 10, 29, hour)).toISOString(),
    delivery_count: due,
    success_count: arrived,
  }) as DeliveryStep;
const END = Date.UTC(2026, 10, 29, 4);

test("bars hold what arrived, what has not, and what fell due a day before", () => {
  const rows = volumeRows([step(0, 10, 10), step(1, 20, 15)], [step(0, 8, 8)], 1, Date.UTC(2026, 10, 29, 2));
  expect(rows).toEqual([
    { at: Date.UTC(2026, 10, 29, 0), until: Date.UTC(2026, 10, 29, 1), arrived: 10, missing: 0, before: 8 },
    {
      at: Date.UTC(2026, 10, 29, 1),
      until: Date.UTC(2026, 10, 29, 2),
      arrived: 15,
      missing: 5,
      before: null,
    },
  ]);
});

test("joined steps add up, and a step without traffic has no rate", () => {
  const steps = [step(0, 10, 10), step(1, 10, 5), step(2, 0, 0), step(3, 0, 0)];
  expect(rateRows(steps, 2, END).map((row) => row.rate)).toEqual([75, null]);
});

describe("axes have three lines", () => {
  test.each([
    [41_500, [0, 30_000, 60_000]],
    [4, [0, 2, 4]],
    [0, [0, 1]],
    [1_940, [0, 1_000, 2_000]],
  ])("up to %d", (most, ticks) => expect(ticksUpTo(most)).toEqual(ticks));
  test.each([
    [99.94, [99.9, 99.95, 100]],
    [98.2, [98, 99, 100]],
    [76, [50, 75, 100]],
  ])("down to %d", (least, ticks) => expect(ticksDownTo(least)).toEqual(ticks));
});

test("one slow step does not flatten the others", () => {
  const row = (p95: number, p99: number) => ({ at: 0, until: 1, p50: 1, p95, p99 });
  expect(latencyTop([row(200, 900), row(210, 950), row(220, 9_000)])).toBe(1_900);
  expect(latencyTop([row(200, 900), row(210, 950)])).toBe(950);
});

test("an axis of time has at most five labels, the first at the origin", () => {
  const rows = Array.from({ length: 29 }, (_, at) => ({ at }));
  expect(timeTicks(rows)).toEqual([0, 6, 12, 18, 24]);
});
