/** The list of messages that was open last, so that a message finds back to it and to its neighbours. */
import type { Message } from "@/api/messages";

const KEY = "hookstream.message-list";

/** Remembers the search parameters of the list that is open. */
export function rememberList(search: Record<string, string | undefined>): void {
  sessionStorage.setItem(KEY, JSON.stringify(search));
}

/** Returns the search parameters of the list that was open last. */
export function lastList(): Record<string, string> {
  try {
    const found: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    return typeof found === "object" && found !== null ? (found as Record<string, string>) : {};
  } catch {
    return {};
  }
}

/** Place of a message in a list. */
export interface Place {
  /** Counted from 1. */
  number: number;
  total: number;
  previous: string | undefined;
  next: string | undefined;
}

/** Returns the place of a message in the pages that were read, or null if it is in none. */
export function placeOf(id: string, messages: Pick<Message, "id">[]): Place | null {
  const index = messages.findIndex((message) => message.id === id);
  if (index === -1) return null;
  return {
    number: index + 1,
    total: messages.length,
    previous: messages[index - 1]?.id,
    next: messages[index + 1]?.id,
  };
}
