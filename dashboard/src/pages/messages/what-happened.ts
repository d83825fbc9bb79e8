/** What happened to a message, for one line of the list: pips, a sentence, the number of attempts. */
import type { Schemas } from "@/api/client";
import { splitError } from "@/lib/words/errors";
import { duration } from "@/lib/words/durations";

type Detail = Schemas["MessageDetail"];

export type Pip = "arrived" | "failed" | "retrying" | "waiting" | "ended";

export interface WhatHappened {
  arrived: number;
  total: number;
  pips: Pip[];
  attempts: number;
  /** Error word in monospace before the sentence; empty if there is none. */
  word: string;
  sentence: string;
  /** Time of the next attempt, if the sentence ends with it. */
  nextAt: string | null;
  isQuiet: boolean;
}

const REASONS: Record<string, string> = {
  endpoint_disabled: "the endpoint was disabled",
  endpoint_expired: "the endpoint had expired",
  endpoint_deleted: "the endpoint was deleted",
  application_deleted: "the application was deleted",
};

function pipOf(delivery: Detail["deliveries"][number]): Pip {
  if (delivery.status === "succeeded") return "arrived";
  if (delivery.status === "exhausted") return "failed";
  if (delivery.status === "pending") return delivery.attempt_count > 0 ? "retrying" : "waiting";
  return "ended";
}

const ORDER: Pip[] = ["failed", "retrying", "waiting", "ended", "arrived"];

/** Returns the line of a message. The worst delivery decides the sentence. */
export function whatHappened({ message, deliveries, attempts }: Detail): WhatHappened {
  const pips = deliveries.map(pipOf).sort((one, other) => ORDER.indexOf(one) - ORDER.indexOf(other));
  const line = {
    arrived: pips.filter((pip) => pip === "arrived").length,
    total: deliveries.length,
    pips,
    attempts: attempts.length,
    word: "",
    nextAt: null,
    isQuiet: false,
  };
  const worst = [...deliveries].sort(
    (one, other) => ORDER.indexOf(pipOf(one)) - ORDER.indexOf(pipOf(other)),
  )[0];
  if (worst === undefined) return { ...line, sentence: "No endpoint wants it" };
  const kind = pipOf(worst);
  const last = attempts.findLast((one) => one.endpoint_id === worst.endpoint_id && one.error);
  if (kind === "failed" || kind === "retrying") {
    const error = splitError(last?.error ?? "");
    const nextAt = kind === "retrying" ? (worst.next_attempt_at ?? null) : null;
    // Beside the word of the error there is room for what was answered, not for who answered.
    return { ...line, word: error.word, sentence: error.sentence.replace(/^the receiver /, ""), nextAt };
  }
  if (kind === "waiting")
    return { ...line, sentence: "First attempt", nextAt: worst.next_attempt_at ?? null };
  if (kind === "ended")
    return { ...line, sentence: `Not sent: ${REASONS[worst.reason ?? ""] ?? worst.reason ?? worst.status}` };
  return { ...line, sentence: firstArrival(message.created_at, attempts), isQuiet: true };
}

function firstArrival(accepted: string, attempts: Detail["attempts"]): string {
  const times = attempts
    .filter((one) => one.status === "success")
    .map((one) => Date.parse(one.created_at) + one.duration_ms - Date.parse(accepted));
  return times.length === 0 ? "Arrived" : `First arrived after ${duration(Math.max(1, Math.min(...times)))}`;
}
