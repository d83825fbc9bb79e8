import { expect, test } from "vitest";
import { barsOf, sentenceOfHealth } from "./health";
import { pathOf } from "./sparkline";
import { isReused, phasesOf, totalOf } from "./waterfall";

const bucket = (due: number, arrived: number) => ({
  since: "2026-11-26T13:30:00Z",
  until: "2026-11-26T14:00:00Z",
  due,
  arrived,
});

test("one missing delivery among many is at least three pixels", () => {
  expect(barsOf([bucket(1000, 999), bucket(500, 500), bucket(0, 0), bucket(2, 0)], 40)).toEqual([
    { height: 40, missing: 3, isIdle: false },
    { height: 20, missing: 0, isIdle: false },
    { height: 3, missing: 0, isIdle: true },
    { height: 4, missing: 4, isIdle: false },
  ]);
});

test("a strip has a sentence", () => {
  expect(sentenceOfHealth([bucket(1000, 999)]).replaceAll("\u202f", " ")).toBe(
    "1,000 deliveries fell due, 999 arrived (99.90 %).",
  );
  expect(sentenceOfHealth([])).toBe("Nothing fell due in this time.");
});

test("a curve reaches from the base to the top", () => {
  expect(pathOf([0, 10], 72, 26)).toBe("M0.0 25.0 L72.0 1.0");
  expect(pathOf([], 72, 26)).toBe("M0 0");
});

test("phases follow one another", () => {
  const times = {
    queue_ms: 4,
    dns_ms: 2,
    connect_ms: 20,
    tls_ms: null,
    write_ms: 1,
    first_byte_ms: 70,
    read_ms: 3,
  };
  const phases = phasesOf(times, 96, true);
  expect(phases.map((phase) => [phase.name, phase.start])).toEqual([
    ["queue", 0],
    ["dns", 4],
    ["connect", 6],
    ["write", 26],
    ["wait", 27],
    ["read", 97],
  ]);
  expect(totalOf(phases)).toBe(100);
  expect(isReused(times)).toBe(false);
  expect(isReused({ queue_ms: 1, write_ms: 1 })).toBe(true);
});

test("an attempt without an answer breaks off in the phase after the last measured one", () => {
  const phases = phasesOf({ queue_ms: 5, write_ms: 1 }, 20_000, false);
  expect(phases[phases.length - 1]).toMatchObject({ name: "wait", ms: 19_999, isBroken: true });
  expect(phasesOf({ queue_ms: 5 }, 100, false)[1]).toMatchObject({ name: "connect", isBroken: true });
});
