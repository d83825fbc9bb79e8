/** Shape of a health strip: heights of the bars and the sentence that replaces them. */
import { count, percent } from "@/lib/words/numbers";

/** Half an hour: what fell due in it, and how much of that has arrived. */
export interface HealthBucket {
  since: string;
  until: string;
  due: number;
  arrived: number;
}

export interface Bar {
  /** Height of the whole bar, and of its red part from the top, in pixels. */
  height: number;
  missing: number;
  isIdle: boolean;
}

/** Health of a list's endpoint: the numbers of 48 half hours from a time on. */
export interface HealthNumbers {
  from: string;
  due: number[];
  arrived: number[];
}

const HALF_HOUR_MS = 1_800_000;

/** Returns the half hours of a list's endpoint. */
export function bucketsOf({ from, due, arrived }: HealthNumbers): HealthBucket[] {
  const start = Date.parse(from);
  return due.map((number, index) => bucketAt(start + index * HALF_HOUR_MS, number, arrived[index] ?? 0));
}

/** Returns the half hours of an endpoint's own page. */
export function bucketsOfHalfHours(
  halfHours: { bucket: string; due: number; arrived: number }[],
): HealthBucket[] {
  return halfHours.map((one) => bucketAt(Date.parse(one.bucket), one.due, one.arrived));
}

function bucketAt(start: number, due: number, arrived: number): HealthBucket {
  const time = (at: number) => new Date(at).toISOString();
  return { since: time(start), until: time(start + HALF_HOUR_MS), due, arrived };
}

/** Smallest height of the red part: a single failure among thousands stays visible. */
const LEAST_MISSING = 3;
const TICK = 3;

/** Returns the bars, scaled to the largest bucket. */
export function barsOf(buckets: HealthBucket[], height: number): Bar[] {
  const most = Math.max(1, ...buckets.map((bucket) => bucket.due));
  return buckets.map((bucket) => {
    if (bucket.due === 0) return { height: TICK, missing: 0, isIdle: true };
    const whole = Math.max(TICK + 1, Math.round((bucket.due / most) * height));
    const missed = bucket.due - bucket.arrived;
    const missing = missed === 0 ? 0 : Math.max(LEAST_MISSING, Math.round((missed / bucket.due) * whole));
    return { height: whole, missing: Math.min(whole, missing), isIdle: false };
  });
}

/** Returns the strip as one sentence. */
export function sentenceOfHealth(buckets: HealthBucket[]): string {
  const due = buckets.reduce((sum, bucket) => sum + bucket.due, 0);
  const arrived = buckets.reduce((sum, bucket) => sum + bucket.arrived, 0);
  if (due === 0) return "Nothing fell due in this time.";
  return `${count(due)} deliveries fell due, ${count(arrived)} arrived (${percent(arrived, due)}).`;
}
