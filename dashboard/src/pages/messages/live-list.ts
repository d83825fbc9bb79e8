/** Live list: pages that were read, the newest page that was asked again, and how both join. */
import type { Message } from "@/api/messages";

/** Returns the rows to show and how many newer ones wait. Shown rows take their state from the newest page. */
export function joined(shown: Message[], newest: Message[]): { rows: Message[]; fresh: number } {
  const updates = new Map(newest.map((message) => [message.id, message]));
  const first = shown[0]?.id;
  const rows = shown.map((message) => updates.get(message.id) ?? message);
  // Ids sort by time, so a greater one is newer.
  const fresh = first === undefined ? 0 : newest.filter((message) => message.id > first).length;
  return { rows, fresh };
}

/** Returns the count of waiting rows as the pill shows it. */
export function freshWords(fresh: number): string {
  return `${fresh > 99 ? "99+" : fresh} new ${fresh === 1 ? "message" : "messages"}`;
}
