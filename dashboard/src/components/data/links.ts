/** Addresses of the messages behind a number. */
import { formatSearch } from "@/lib/search-params";

/** Returns the address of the list of messages with these filters, accepted within a bucket if one is given. */
export function messagesHref(
  filters: Record<string, string>,
  bucket?: { since: string; until: string },
): string {
  return `/dashboard/messages${formatSearch({ ...filters, ...(bucket ?? {}) })}`;
}
