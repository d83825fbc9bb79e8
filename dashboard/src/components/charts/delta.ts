/** Change of a headline number against the time before, and whether it is a change for the worse. */
import { duration } from "@/lib/words/durations";
import { trimmed } from "@/lib/words/numbers";

export interface Delta {
  isUp: boolean;
  isWorse: boolean;
  /** Size without a sign. */
  size: number;
  unit: "percent" | "points" | "ms";
  /** Number that it is compared with, for hover. */
  basis: string;
}

/** Drop of the success rate, in points, from which it is shown as bad. */
const WORSE_POINTS = 0.1;
/** Growth of the latency from which it is shown as bad. */
const WORSE_LATENCY = 1.2;

/** Returns the change of a volume in percent. More or less traffic is neither good nor bad. */
export function volumeDelta(now: number, before: number, basis: string): Delta | null {
  if (before === 0) return null;
  const change = ((now - before) / before) * 100;
  return { isUp: change >= 0, isWorse: false, size: Math.abs(change), unit: "percent", basis };
}

/** Returns the change of a success rate in points. */
export function rateDelta(now: number | null, before: number | null, basis: string): Delta | null {
  if (now === null || before === null) return null;
  const change = now - before;
  return {
    isUp: change >= 0,
    isWorse: change <= -WORSE_POINTS,
    size: Math.abs(change),
    unit: "points",
    basis,
  };
}

/** Returns the change of a latency. */
export function latencyDelta(now: number | null, before: number | null, basis: string): Delta | null {
  if (now === null || before === null || before === 0) return null;
  const isWorse = now > before * WORSE_LATENCY;
  return { isUp: now >= before, isWorse, size: Math.abs(now - before), unit: "ms", basis };
}

export function deltaWords({ size, unit }: Delta): string {
  if (unit === "ms") return duration(size);
  if (unit === "points") return `${trimmed(size, 2)} points`;
  return `${trimmed(size, size < 10 ? 1 : 0)}\u202f%`;
}
