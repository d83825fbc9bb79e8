/** Ranges of time that charts show, each with the part before it that it is compared with. */
import type { Granularity, TimeWindow } from "@/api/metrics";

export type RangeName = "1h" | "today" | "7d" | "30d";

export interface Range {
  name: RangeName;
  label: string;
  /** What the numbers are compared with, in words. */
  compared: string;
  /** Noun of the range, such as in `2,418 attempts today`. */
  noun: string;
}

export const CHART_RANGES: Range[] = [
  {
    name: "1h",
    label: "1 h",
    compared: "The last hour compared with the hour before",
    noun: "in the last hour",
  },
  { name: "today", label: "Today", compared: "Today (UTC) compared with yesterday until now", noun: "today" },
  { name: "7d", label: "7 d", compared: "The last 7 days compared with the 7 before", noun: "in 7 days" },
  {
    name: "30d",
    label: "30 d",
    compared: "The last 30 days compared with the 30 before",
    noun: "in 30 days",
  },
];

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

interface Shape {
  step: number;
  granularity: Granularity;
  /** Steps that a chart of counts joins into one, so that its bars can be told apart. */
  joined: number;
}

const SHAPES: Record<RangeName, Shape & { length: number }> = {
  "1h": { length: HOUR, step: MINUTE, granularity: "minute", joined: 1 },
  today: { length: DAY, step: HOUR / 2, granularity: "half_hour", joined: 1 },
  "7d": { length: 7 * DAY, step: HOUR, granularity: "hour", joined: 4 },
  "30d": { length: 30 * DAY, step: DAY, granularity: "day", joined: 1 },
};

/** Returns the range of this name; today is the usual one. */
export function rangeOf(name: string | undefined): Range {
  const found = CHART_RANGES.find((range) => range.name === name);
  return found ?? (CHART_RANGES[1] as Range);
}

/** Window of a range and the window it is compared with. */
export interface Windows {
  now: TimeWindow;
  before: TimeWindow;
  /** Distance between both, in milliseconds. */
  shift: number;
  joined: number;
}

/**
 * Returns the windows of a range. Both end at the end of the current step, so that the questions stay the same until
 * the next step begins.
 */
export function windowsOf(name: RangeName, now: Date): Windows {
  const { length, step, granularity, joined } = SHAPES[name];
  const end = (Math.floor(now.getTime() / step) + 1) * step;
  const start = name === "today" ? Math.floor(now.getTime() / DAY) * DAY : end - length;
  const part = (shift: number): TimeWindow => ({
    after: new Date(start - shift).toISOString(),
    before: new Date(end - shift).toISOString(),
    granularity,
  });
  return { now: part(0), before: part(length), shift: length, joined };
}
