/** Counts of messages in words, and how far the text search reaches. */
import type { Schemas } from "@/api/client";
import type { MessageCounts, MessageList } from "@/api/messages";
import type { Filters } from "@/lib/filters";
import { span } from "@/lib/words/durations";
import { count } from "@/lib/words/numbers";
import { calendar } from "@/lib/words/times";

type Status = keyof Schemas["StatusCounts"];

const STATUSES: Status[] = ["delivered", "pending", "failed", "skipped"];

/** Index that lags more than this is worth a sentence. */
const LAG_S = 60;

/** Returns the statuses that filters select; none selected means all. */
function selected(filters: Filters): Status[] {
  const chosen = filters["status"] ?? [];
  return STATUSES.filter((status) => chosen.length === 0 || chosen.includes(status));
}

/**
 * Returns the number of messages that filters select, as counted without their status; `+` where counting stopped. Null if
 * it stopped before the first one.
 */
export function totalOf(counts: MessageCounts, filters: Filters): string | null {
  const total = selected(filters).reduce((sum, status) => sum + counts.counts[status], 0);
  if (total === 0 && !counts.is_exact) return null;
  return `${count(total)}${counts.is_exact ? "" : "+"}`;
}

/** Returns the count by status: `1,204 delivered, 3 failed`. One status alone is the total already. */
export function byStatus(counts: MessageCounts, filters: Filters): string {
  const statuses = selected(filters);
  if (statuses.length === 1) return "";
  return statuses
    .filter((status) => counts.counts[status] > 0)
    .map((status) => `${count(counts.counts[status])} ${status}`)
    .join(", ");
}

/**
 * Returns the label of the retry of all that match: `Retry all 871 failed…`; null if nothing of it can be retried. Skipped
 * ones are not numbered: most of them may be messages that no endpoint wants.
 */
export function retryAllLabel(filters: Filters, counts: MessageCounts | undefined): string | null {
  const chosen = filters["status"] ?? [];
  if (chosen.length > 0 && !chosen.includes("failed") && !chosen.includes("skipped")) return null;
  if (chosen.includes("skipped"))
    return chosen.includes("failed") ? "Retry all failed and skipped…" : "Retry all skipped…";
  if (counts === undefined) return "Retry all failed…";
  const { failed } = counts.counts;
  if (failed === 0) return counts.is_exact ? null : "Retry all failed…";
  return `Retry all ${count(failed)}${counts.is_exact ? "" : "+"} failed…`;
}

/** Returns how far the text search reaches. */
export function reachSentence(reach: MessageList["search"], now: Date): string {
  if (!reach) return "There is no text index. The text is looked for in ids, event ids and event types.";
  const since = calendar(new Date(reach.complete_since), now);
  const lag = reach.lag_s > LAG_S ? ` It does not have the newest ${span(reach.lag_s)} yet.` : "";
  return `The text index is complete back to ${since}. Older messages are found by id, type and time.${lag}`;
}
