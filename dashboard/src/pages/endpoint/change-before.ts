/** The change that may explain a failure: the last one shortly before it began. */
import type { AuditEntry } from "@/api/audit";

/** Time before a failure within which a change may have caused it. */
const NEAR_MS = 60 * 60_000;

/** Returns the last update within an hour before a time, and how many minutes lie between. Entries are newest first. */
export function changeBefore(
  entries: AuditEntry[],
  since: string,
): { entry: AuditEntry; minutes: number } | null {
  const began = Date.parse(since);
  const entry = entries.find((one) => {
    const at = Date.parse(one.created_at);
    return one.action.endsWith(".update") && at <= began && began - at <= NEAR_MS;
  });
  if (entry === undefined) return null;
  return { entry, minutes: Math.round((began - Date.parse(entry.created_at)) / 60_000) };
}
