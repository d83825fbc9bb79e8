/** Mail to the customer about failing endpoints: the step that the card shows, and where it shows an error. */
import { ApiError } from "@/api/errors";
import type { Notifications } from "./api";
import type { MessageKey } from "./i18n";

/** Events that can be chosen, in the order of the form. */
export const EVENTS = ["endpoint_failing", "endpoint_disabled"] as const;

/** Sentences of the events, each the end of "Mail is sent when". */
export const EVENT_SENTENCES: Record<(typeof EVENTS)[number], MessageKey> = {
  endpoint_failing: "mailFailing",
  endpoint_disabled: "mailDisabled",
};

/** Step of the card. `former` of `address` is the address that mail went to or was meant for. */
export type Step =
  | { kind: "address"; former: { email: string; reason: "refused" | "replaced" } | null }
  | { kind: "code"; email: string }
  | { kind: "on"; email: string };

/** Returns the step. `isOther` is set while the customer enters another address. */
export function stepOf(mail: Notifications, isOther: boolean): Step {
  const email = mail.email ?? null;
  if (email === null) return { kind: "address", former: null };
  // The address is kept when its mail server refuses mail for days.
  if (mail.state === "off") return { kind: "address", former: { email, reason: "refused" } };
  if (isOther) return { kind: "address", former: { email, reason: "replaced" } };
  return { kind: mail.state === "on" ? "on" : "code", email };
}

/** Returns the chosen events in the order of the form; all of them if there is no choice yet. */
export function choiceOf(mail: Notifications): string[] {
  const chosen = EVENTS.filter((event) => mail.events.includes(event));
  return chosen.length === 0 ? [...EVENTS] : chosen;
}

/** Returns whether two choices are the same. */
export function isSameChoice(one: string[], other: string[]): boolean {
  return one.length === other.length && one.every((event) => other.includes(event));
}

/** Returns the digits of a code as it was typed or pasted, also of full width and with spaces. */
export function digitsOf(text: string): string {
  return text.normalize("NFKC").replace(/\D/g, "").slice(0, 6);
}

/** Returns the place of an error: a field, or the foot of the card. */
export function placeOfError(error: unknown): "email" | "code" | "card" {
  if (!(error instanceof ApiError)) return "card";
  if (error.code === "wrong_code" || error.code === "none_to_confirm") return "code";
  return error.code === "invalid_field" && error.details["field"] === "email" ? "email" : "card";
}
