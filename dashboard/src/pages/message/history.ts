/** History of a message: acceptance, the attempts of all endpoints, ends without arriving, and what is due next. */
import { IconInbox } from "@tabler/icons-react";
import type { Attempt, Delivery, Message } from "@/api/messages";
import { attemptState, deliveryState, type State } from "@/components/status/states";
import { splitError } from "@/lib/words/errors";
import { duration, span } from "@/lib/words/durations";

export interface HistoryStep {
  id: string;
  state: State;
  title: string;
  fact: string;
  /** Time since acceptance; empty for a step that is still to come. */
  offset: string;
  /** Time at which a step is due that is still to come. */
  dueAt: string | null;
}

const ACCEPTED: State = { word: "Accepted", tone: "idle", icon: IconInbox };

/** Returns the steps, oldest first. */
export function historyOf(
  message: Message,
  deliveries: Delivery[],
  attempts: Attempt[],
  nameOf: (endpointId: string) => string,
): HistoryStep[] {
  const start = Date.parse(message.created_at);
  const since = (at: number) => {
    const ms = Math.max(0, at - start);
    return `+${ms < 60_000 ? duration(ms) : span(ms / 1000)}`;
  };
  const of = deliveries.length;
  const accepted: HistoryStep = {
    id: "accepted",
    state: ACCEPTED,
    title: "Accepted and stored",
    fact: of === 0 ? "no endpoint wants it" : `for ${of} ${of === 1 ? "endpoint" : "endpoints"}`,
    offset: "",
    dueAt: null,
  };
  const made = attempts.map((attempt) => {
    const answered = attempt.response_status ? `answered ${attempt.response_status}` : "did not answer";
    const error = attempt.error ? splitError(attempt.error).sentence : "";
    return {
      at: Date.parse(attempt.created_at),
      step: {
        id: attempt.id,
        state: attemptState(attempt),
        title: `${nameOf(attempt.endpoint_id)} ${attempt.status === "success" ? "took it" : answered}`,
        fact: `attempt ${attempt.attempt_number}, ${attempt.trigger_type}, ${duration(attempt.duration_ms)}${
          attempt.response_status || error === "" ? "" : `: ${error}`
        }`,
        offset: since(Date.parse(attempt.created_at)),
        dueAt: null,
      },
    };
  });
  const ended = deliveries.flatMap((delivery) => {
    if (!delivery.ended_at) return [];
    const state = deliveryState(delivery);
    return [
      {
        at: Date.parse(delivery.ended_at),
        step: {
          id: `end ${delivery.endpoint_id}`,
          state,
          title: `${state.word} for ${nameOf(delivery.endpoint_id)}`,
          fact: (delivery.reason ?? "").replaceAll("_", " "),
          offset: since(Date.parse(delivery.ended_at)),
          dueAt: null,
        },
      },
    ];
  });
  const due = deliveries
    .filter((delivery) => delivery.status === "pending" && delivery.next_attempt_at)
    .map((delivery): HistoryStep => ({
      id: `next ${delivery.endpoint_id}`,
      state: deliveryState(delivery),
      title: `${nameOf(delivery.endpoint_id)} is due`,
      fact: `attempt ${delivery.attempt_count + 1}`,
      offset: "",
      dueAt: delivery.next_attempt_at ?? null,
    }));
  const past = [...made, ...ended].sort((one, other) => one.at - other.at).map(({ step }) => step);
  return [accepted, ...past, ...due];
}
