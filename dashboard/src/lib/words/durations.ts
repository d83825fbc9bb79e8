/** Durations as text: µs, ms, two significant digits of seconds, then minutes, hours and days. */
import { trimmed } from "./numbers";

const SPACE = "\u202f";

/** Returns a measured duration: `380 µs`, `5.1 ms`, `1.4 s`, `20 s`, `3 min 28 s`. */
export function duration(ms: number): string {
  if (ms === 0) return `0${SPACE}ms`;
  if (ms < 1) return `${Math.round(ms * 1000)}${SPACE}µs`;
  if (ms < 1000) return `${trimmed(ms, ms < 100 ? 1 : 0)}${SPACE}ms`;
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)}${SPACE}s`;
  return span(Math.round(ms / 1000));
}

/** Returns a span of whole seconds in at most two units: `41 s`, `2 min 06 s`, `1 h 55 min`, `3 d 3 h`. */
export function span(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  if (total < 60) return `${total}${SPACE}s`;
  const [minutes, hours, days] = [
    Math.floor(total / 60),
    Math.floor(total / 3600),
    Math.floor(total / 86_400),
  ];
  if (minutes < 60) return pair(minutes, "min", total % 60, "s");
  if (hours < 24) return pair(hours, "h", minutes % 60, "min");
  return pair(days, "d", hours % 24, "h");
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  const first = `${large}${SPACE}${largeUnit}`;
  if (small === 0) return first;
  const padded = smallUnit === "s" ? String(small).padStart(2, "0") : String(small);
  return `${first} ${padded}${SPACE}${smallUnit}`;
}
