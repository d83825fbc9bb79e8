/** Vocabulary of states: one color, one icon and one word for each state of each object. */
import type { ComponentType } from "react";
import {
  IconAlertOctagon,
  IconAlertTriangle,
  IconBan,
  IconCircleCheckFilled,
  IconCircleDotFilled,
  IconCircleMinus,
  IconCircleXFilled,
  IconClock,
  IconHourglass,
  IconInfoCircle,
  IconLoader2,
  IconPlayerPause,
  IconPlugConnected,
  IconPlugConnectedX,
  IconPower,
  IconProgress,
  IconRotateClockwise,
} from "@tabler/icons-react";

export type Tone = "good" | "careful" | "bad" | "idle" | "accent";

export interface State {
  word: string;
  tone: Tone;
  icon: ComponentType<{ size?: number; stroke?: number; className?: string }>;
}

const state = (word: string, tone: Tone, icon: State["icon"]): State => ({ word, tone, icon });

/** Any word that the server may add later. */
const other = (word: string): State => state(word, "idle", IconCircleMinus);

const PENDING = state("Pending", "idle", IconClock);
const RETRYING = state("Retrying", "careful", IconRotateClockwise);
const SKIPPED = state("Skipped", "idle", IconCircleMinus);
const CANCELLED = state("Cancelled", "idle", IconBan);

export const MESSAGE_STATES: Record<string, State> = {
  delivered: state("Delivered", "good", IconCircleCheckFilled),
  pending: PENDING,
  failed: state("Failed", "bad", IconCircleXFilled),
  skipped: SKIPPED,
};

const DELIVERY_STATES: Record<string, State> = {
  succeeded: state("Succeeded", "good", IconCircleCheckFilled),
  pending: PENDING,
  exhausted: state("Exhausted", "bad", IconCircleXFilled),
  skipped: SKIPPED,
  cancelled: CANCELLED,
};

const ENDPOINT_STATES: Record<string, State> = {
  active: state("Active", "good", IconCircleDotFilled),
  paused: state("Paused", "idle", IconPlayerPause),
  disabled: state("Disabled", "idle", IconPower),
  expired: state("Expired", "idle", IconHourglass),
  archived: state("Archived", "idle", IconCircleMinus),
};

const CIRCUIT_STATES: Record<string, State> = {
  closed: state("Circuit closed", "good", IconPlugConnected),
  half_open: state("Half open", "careful", IconProgress),
  open: state("Circuit open", "bad", IconPlugConnectedX),
};

const JOB_STATES: Record<string, State> = {
  running: state("Running", "accent", IconLoader2),
  completed: state("Completed", "good", IconCircleCheckFilled),
  cancelled: CANCELLED,
  failed: state("Failed", "bad", IconCircleXFilled),
};

const SEVERITIES: Record<string, State> = {
  critical: state("Critical", "bad", IconAlertOctagon),
  warning: state("Warning", "careful", IconAlertTriangle),
  notice: state("Notice", "idle", IconInfoCircle),
};

export const messageState = (status: string): State => MESSAGE_STATES[status] ?? other(status);
export const circuitState = (circuit: string): State => CIRCUIT_STATES[circuit] ?? other(circuit);
export const jobState = (status: string): State => JOB_STATES[status] ?? other(status);
export const severityState = (severity: string): State => SEVERITIES[severity] ?? other(severity);
export const plainState = (status: string): State => ENDPOINT_STATES[status] ?? other(status);

/** Returns the state of a delivery; pending after an attempt is Retrying. */
export function deliveryState(delivery: { status: string; attempt_count: number }): State {
  if (delivery.status === "pending" && delivery.attempt_count > 0) return RETRYING;
  return DELIVERY_STATES[delivery.status] ?? other(delivery.status);
}

/** Returns the state of an attempt: the response status, or that no answer came. */
export function attemptState(attempt: { status: string; response_status?: number | null }): State {
  const word = attempt.response_status ? String(attempt.response_status) : "No answer";
  return attempt.status === "success"
    ? state(attempt.response_status ? word : "Accepted", "good", IconCircleCheckFilled)
    : state(word, "bad", IconCircleXFilled);
}

/** Returns the state of an endpoint: an open circuit says more than Active. */
export function endpointState(endpoint: { status: string; circuit_state: string }): State {
  if (endpoint.status === "active" && endpoint.circuit_state !== "closed")
    return circuitState(endpoint.circuit_state);
  return plainState(endpoint.status);
}

/** Returns the state of a message from its deliveries, with the part that it concerns: `1 of 3 retrying`. */
export function summaryState(
  message: { status: string },
  deliveries: { status: string; attempt_count: number }[],
): State {
  const states = deliveries.map(deliveryState);
  const order: Tone[] = ["bad", "careful", "accent", "idle", "good"];
  const worst = [...states].sort((one, two) => order.indexOf(one.tone) - order.indexOf(two.tone))[0];
  if (worst === undefined || worst.tone === "good" || message.status === "skipped")
    return messageState(message.status);
  const part = states.filter((one) => one.word === worst.word).length;
  const word = states.length === 1 ? worst.word : `${part} of ${states.length} ${worst.word.toLowerCase()}`;
  return { ...worst, word };
}

export const FAILING = state("Failing", "bad", IconAlertTriangle);
