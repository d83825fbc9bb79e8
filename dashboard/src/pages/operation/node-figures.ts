/** Figures of a node from its metrics: whether anything is lost, late or failing, and what the store and the process take. */
import type { Figure } from "@/components/page/Card";
import { duration, span } from "@/lib/words/durations";
import { bytes, count, counted, percent, perSecond } from "@/lib/words/numbers";
import { quantileOf, type Sample, sumOf } from "./metrics-text";

/** Samples of one reading. */
export interface Reading {
  samples: Sample[];
  /** Time of the reading, in milliseconds since 1970. */
  readAt: number;
}

/** Deliveries that are due for longer than this are late. */
const LATE_S = 60;

/** Returns the figures; rates need a reading before this one. */
export function figuresOfNode({ samples, readAt }: Reading, before: Reading | null): Figure[] {
  const unaccounted = sumOf(samples, "hookstream_deliveries_unaccounted");
  const oldest = sumOf(samples, "hookstream_oldest_due_seconds") ?? 0;
  const pending = sumOf(samples, "hookstream_deliveries_pending");
  const attempts = sumOf(samples, "hookstream_attempts_total") ?? 0;
  const failed = sumOf(samples, "hookstream_attempts_total", { outcome: "failed" }) ?? 0;
  const accepted = sumOf(samples, "hookstream_messages_accepted_total") ?? 0;
  const latency = quantileOf(samples, "hookstream_delivery_latency_seconds", 0.95, { until: "arrival" });
  const commit = quantileOf(samples, "hookstream_store_commit_seconds", 0.99);
  const circuits = sumOf(samples, "hookstream_circuits_open") ?? 0;
  const earlier = before && sumOf(before.samples, "hookstream_messages_accepted_total");
  const passed = before ? (readAt - before.readAt) / 1000 : 0;
  const free = sumOf(samples, "hookstream_disk_free_bytes");
  return [
    {
      label: "Unaccounted",
      value: unaccounted === null ? "on another node" : count(unaccounted),
      note: "must be 0",
      isBad: (unaccounted ?? 0) > 0,
    },
    {
      label: "Oldest due",
      value: oldest === 0 ? "None" : duration(oldest * 1000),
      note: "neither held nor paused",
      isCareful: oldest > LATE_S,
    },
    {
      label: "Pending",
      value: pending === null ? "on another node" : count(pending),
      note: circuits > 0 ? `${counted(circuits, "circuit")} open` : "no circuit is open",
    },
    {
      label: "Accepted",
      ...acceptedOf(accepted, earlier, passed),
    },
    {
      label: "Failed attempts",
      value: attempts === 0 ? "None" : percent(failed, attempts),
      note: `${count(failed)} of ${count(attempts)} since the start`,
    },
    { label: "Latency p95", value: timeOf(latency), note: "acceptance to arrival" },
    { label: "Commit p99", value: timeOf(commit), note: "of the store" },
    {
      label: "Memory",
      value: bytes(sumOf(samples, "process_resident_memory_bytes") ?? 0),
      note: free === null ? "resident" : `${bytes(free)} of disk free`,
    },
  ];
}

/** Returns the rate since the reading before; the total without one. */
function acceptedOf(now: number, before: number | null, seconds: number): Pick<Figure, "value" | "note"> {
  // A counter that is smaller than before is that of another process.
  if (before === null || seconds <= 0 || now < before) return { value: count(now), note: "since the start" };
  return { value: perSecond((now - before) / seconds), note: `${count(now)} since the start` };
}

/** Returns a time, or that it lies above the last bound of its histogram. */
function timeOf(seconds: number | null): string {
  if (seconds === null) return "None yet";
  return Number.isFinite(seconds) ? duration(seconds * 1000) : "over a minute";
}

/** Returns for how long the process has run; null if its start is not known. */
export function uptimeOf({ samples, readAt }: Reading): string | null {
  const started = sumOf(samples, "process_start_time_seconds");
  return started === null ? null : span(readAt / 1000 - started);
}
