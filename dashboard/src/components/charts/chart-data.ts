/** Rows of charts, made from the series of the API: pure, without a drawing library. */
import type { DeliveryStep, LatencyStep } from "@/api/metrics";

/** Deliveries of one step, beside the number of the step that it is compared with. */
export interface VolumeRow {
  at: number;
  until: number;
  arrived: number;
  missing: number;
  before: number | null;
}

/** Share that has arrived, of one step; null if nothing fell due. */
export interface RateRow {
  at: number;
  until: number;
  rate: number | null;
  due: number;
}

export interface LatencyRow {
  at: number;
  until: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

interface Counts {
  at: number;
  due: number;
  arrived: number;
}

/** Joins every `size` steps into one, from the first on. */
function joined(steps: DeliveryStep[], size: number): Counts[] {
  const rows: Counts[] = [];
  steps.forEach((step, index) => {
    const last = rows[rows.length - 1];
    if (index % size === 0 || last === undefined)
      rows.push({ at: Date.parse(step.bucket), due: step.delivery_count, arrived: step.success_count });
    else {
      last.due += step.delivery_count;
      last.arrived += step.success_count;
    }
  });
  return rows;
}

/** Returns where the step ends: at the next one, or as far from its start as the one before. */
function endOf(rows: { at: number }[], index: number, end: number): number {
  return rows[index + 1]?.at ?? end;
}

/** Returns the bars of the volume: what arrived, what has not, and the step before it that it is compared with. */
export function volumeRows(
  now: DeliveryStep[],
  before: DeliveryStep[],
  size: number,
  end: number,
): VolumeRow[] {
  const rows = joined(now, size);
  const others = joined(before, size);
  return rows.map((row, index) => ({
    at: row.at,
    until: endOf(rows, index, end),
    arrived: row.arrived,
    missing: row.due - row.arrived,
    before: others[index]?.due ?? null,
  }));
}

/** Returns the line of the success rate, in percent. */
export function rateRows(now: DeliveryStep[], size: number, end: number): RateRow[] {
  const rows = joined(now, size);
  return rows.map((row, index) => ({
    at: row.at,
    until: endOf(rows, index, end),
    rate: row.due === 0 ? null : (row.arrived / row.due) * 100,
    due: row.due,
  }));
}

export function latencyRows(steps: LatencyStep[], end: number): LatencyRow[] {
  const starts = steps.map((step) => ({ at: Date.parse(step.bucket) }));
  return steps.map((step, index) => ({
    at: Date.parse(step.bucket),
    until: endOf(starts, index, end),
    p50: step.p50 ?? null,
    p95: step.p95 ?? null,
    p99: step.p99 ?? null,
  }));
}

/**
 * Returns the top of the axis of latencies: the slowest p99, unless one step is so slow that it would flatten all others.
 * Then its line leaves the chart at the top.
 */
export function latencyTop(rows: LatencyRow[]): number {
  const p99 = rows.flatMap((row) => (row.p99 === null ? [] : [row.p99])).sort((one, other) => one - other);
  const p95 = Math.max(0, ...rows.map((row) => row.p95 ?? 0));
  const usual = p99[Math.floor(p99.length / 2)] ?? 0;
  return Math.min(p99[p99.length - 1] ?? 0, Math.max(usual * 2, p95 * 1.5));
}

/** Largest values of an axis whose half is a round number too. */
const ROUND = [1, 2, 4, 6, 8, 10];

/** Returns three values of an axis from 0 up: lines at the base, at the half and at the top. */
export function ticksUpTo(most: number): number[] {
  if (most <= 0) return [0, 1];
  const power = 10 ** Math.floor(Math.log10(most));
  const top = (ROUND.find((round) => round * power >= most * 0.999) ?? 10) * power;
  return [0, top / 2, top];
}

const FLOORS = [99.9, 99, 98, 90, 80, 50, 0];

/** Returns three values of an axis of percent that ends at 100 and contains the smallest value. */
export function ticksDownTo(least: number): number[] {
  const floor = FLOORS.find((one) => one <= least) ?? 0;
  return [floor, Number(((floor + 100) / 2).toFixed(2)), 100];
}

/** Returns the times at which an axis has a label: at most five, the first at the origin. */
export function timeTicks(rows: { at: number }[]): number[] {
  if (rows.length === 0) return [];
  const every = Math.max(1, Math.ceil(rows.length / 5));
  return rows.filter((_, index) => index % every === 0).map((row) => row.at);
}
