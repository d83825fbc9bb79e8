/** Phases of an attempt, in order, as parts of its whole time. */

/** Times as the API gives them; a phase that did not happen is null. */
export interface WaterfallTimes {
  queue_ms: number;
  dns_ms?: number | null;
  connect_ms?: number | null;
  tls_ms?: number | null;
  write_ms?: number | null;
  first_byte_ms?: number | null;
  read_ms?: number | null;
}

export type PhaseName = "queue" | "dns" | "connect" | "tls" | "write" | "wait" | "read";

export interface Phase {
  name: PhaseName;
  label: string;
  start: number;
  ms: number;
  /** True for the part in which the attempt broke off. */
  isBroken: boolean;
}

const LABELS: Record<PhaseName, string> = {
  queue: "Queue",
  dns: "DNS",
  connect: "Connect",
  tls: "TLS",
  write: "Send",
  wait: "Wait for answer",
  read: "Read",
};

/**
 * Returns the phases that happened. A failed attempt without an answer broke off in the part that the measured phases
 * leave over.
 */
export function phasesOf(times: WaterfallTimes, durationMs: number, hasAnswer: boolean): Phase[] {
  const measured: [PhaseName, number | null | undefined][] = [
    ["queue", times.queue_ms],
    ["dns", times.dns_ms],
    ["connect", times.connect_ms],
    ["tls", times.tls_ms],
    ["write", times.write_ms],
    ["wait", times.first_byte_ms],
    ["read", times.read_ms],
  ];
  let start = 0;
  const phases: Phase[] = [];
  for (const [name, ms] of measured) {
    if (ms === null || ms === undefined) continue;
    phases.push({ name, label: LABELS[name], start, ms, isBroken: false });
    start += ms;
  }
  const left = times.queue_ms + durationMs - start;
  // A receiver without connections, such as a test receiver, has one time.
  if (hasAnswer && phases.length === 1 && left > 0) {
    phases.push({ name: "wait", label: LABELS.wait, start, ms: left, isBroken: false });
  }
  if (!hasAnswer && left > 0) {
    const last = phases[phases.length - 1]?.name ?? "queue";
    const name = nextOf(last);
    phases.push({ name, label: LABELS[name], start, ms: left, isBroken: true });
  }
  return phases;
}

function nextOf(name: PhaseName): PhaseName {
  const order: PhaseName[] = ["queue", "dns", "connect", "tls", "write", "wait", "read"];
  // Without a measured write, the attempt broke off while connecting; after it, while waiting.
  if (name === "queue") return "connect";
  return order[Math.min(order.indexOf(name) + 1, order.length - 1)] ?? "wait";
}

/** Phases for drawing, and whether the queue is longer than it is drawn. */
export interface Drawn {
  phases: Phase[];
  isQueueCut: boolean;
}

/** Returns the phases with a queue of this length at most: a wait of hours would flatten the attempt itself. */
export function withShortQueue(phases: Phase[], most: number): Drawn {
  const queue = phases[0];
  if (queue?.name !== "queue" || queue.ms <= most) return { phases, isQueueCut: false };
  const cut = queue.ms - most;
  const drawn = phases.map((phase) =>
    phase.name === "queue" ? { ...phase, ms: most } : { ...phase, start: phase.start - cut },
  );
  return { phases: drawn, isQueueCut: true };
}

/** Returns whether the attempt used a connection that was open already. */
export function isReused(times: WaterfallTimes): boolean {
  return times.connect_ms === null || times.connect_ms === undefined
    ? typeof times.write_ms === "number"
    : false;
}

/** Returns the whole time of the phases. */
export function totalOf(phases: Phase[]): number {
  const last = phases[phases.length - 1];
  return last === undefined ? 0 : last.start + last.ms;
}
