/** Delivery queues in words. */
import type { Lane } from "@/api/engine";
import { duration } from "@/lib/words/durations";
import { counted, perSecond } from "@/lib/words/numbers";

/** Returns what waits in a queue, in memory and in the store. */
export function waitingOf(lane: Pick<Lane, "queued" | "in_store">): number {
  return lane.queued + lane.in_store;
}

/** Status of a lane's endpoint; active as long as the endpoints are not known. */
export type StatusOf = (lane: Lane) => string;

/** Returns whether nothing is sent to the endpoint for now. */
function isHeld(lane: Lane): boolean {
  return lane.circuit_state !== "closed" || Boolean(lane.held_until);
}

/** Returns the number of circuits that keep an endpoint from getting anything. One that is paused or disabled has another reason. */
export function openCircuits(lanes: Lane[], statusOf: StatusOf): number {
  return lanes.filter((lane) => statusOf(lane) === "active" && lane.circuit_state !== "closed").length;
}

/** Returns the attempts per second of a lane. What an endpoint answered before it was paused or disabled goes out no more. */
export function rateOf(lane: Lane, statusOf: StatusOf): number | null {
  return statusOf(lane) === "active" ? (lane.per_second ?? null) : null;
}

/** Returns the title of the page: who waits, and whether anybody else does. */
export function queuesTitle(lanes: Lane[], statusOf: StatusOf): { title: string; aside: string } {
  const waiting = lanes.filter((lane) => waitingOf(lane) > 0);
  const held = waiting.filter((lane) => statusOf(lane) !== "active" || isHeld(lane)).length;
  const rate = lanes.reduce((sum, lane) => sum + (rateOf(lane, statusOf) ?? 0), 0);
  const aside = `${perSecond(rate)} go out.`;
  if (waiting.length === 0) return { title: "Nothing waits", aside };
  const flowing = waiting.length - held;
  if (held === 0)
    return { title: `${counted(flowing, "queue drains", "queues drain")}, none is held`, aside };
  const rest = flowing === 0 ? "nobody else waits" : `${counted(flowing, "other drains", "others drain")}`;
  return { title: `${counted(held, "queue is", "queues are")} held, ${rest}`, aside };
}

/** Returns when a queue is empty, in words. */
export function drainOf(lane: Lane, status: string): { text: string; isCareful: boolean } {
  if (waitingOf(lane) === 0) return { text: "", isCareful: false };
  if (status === "paused") return { text: "when resumed", isCareful: false };
  if (typeof lane.drained_in_s === "number")
    return { text: duration(lane.drained_in_s * 1000), isCareful: false };
  if (isHeld(lane)) return { text: "once it answers", isCareful: false };
  return { text: "not at this pace", isCareful: true };
}
