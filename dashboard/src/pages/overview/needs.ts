/** Delivery queues that need a person, worst first. The server computes this list later; until then it is read off the queues. */
import type { Lane } from "@/api/engine";
import { count } from "@/lib/words/numbers";

export interface Need {
  lane: Lane;
  kind: "open" | "half_open" | "slow";
  waiting: number;
  cause: string;
}

/** A queue that takes longer than this to drain is slow. */
const SLOW_AFTER_S = 60;

/** Returns the queues that need a person: open circuits first, then what waits most. */
export function needsOf(lanes: Lane[]): Need[] {
  const needs = lanes.flatMap((lane): Need[] => {
    const waiting = lane.queued + lane.in_store;
    if (lane.circuit_state === "open")
      return [
        {
          lane,
          kind: "open",
          waiting,
          cause: "Attempts fail in a row. Nothing is sent until a probe succeeds.",
        },
      ];
    if (lane.circuit_state === "half_open")
      return [{ lane, kind: "half_open", waiting, cause: "One delivery at a time is sent as a probe." }];
    const isSlow = (lane.drained_in_s ?? 0) > SLOW_AFTER_S;
    const rate =
      lane.per_second === null || lane.per_second === undefined
        ? ""
        : ` at ${lane.per_second.toFixed(1)} a second`;
    return isSlow
      ? [{ lane, kind: "slow", waiting, cause: `${count(waiting)} deliveries wait and leave${rate}.` }]
      : [];
  });
  const rank = { open: 0, half_open: 1, slow: 2 };
  return needs.sort((one, two) => rank[one.kind] - rank[two.kind] || two.waiting - one.waiting);
}
