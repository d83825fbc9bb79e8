/** Words about backups: the last good one, its age, and when the next is due. */
import type { Backup, BackupList } from "@/api/operation";

const DAY_MS = 86_400_000;
/** A daily backup that is older than this was missed. */
const MISSED_MS = 26 * 60 * 60_000;

export interface Standing {
  /** Newest backup that can be used. */
  last: Backup | undefined;
  isMissed: boolean;
  /** True if a backup failed after the last good one. */
  isFailing: boolean;
}

/** Returns how the backups stand. The list is newest first. */
export function standingOf(list: BackupList, now: Date): Standing {
  const last = list.backups.find((one) => !one.error && one.created_at);
  const at = last?.created_at ? Date.parse(last.created_at) : null;
  return {
    last,
    isMissed: at !== null && now.getTime() - at > MISSED_MS,
    isFailing: Boolean(list.failed_at) && (at === null || Date.parse(list.failed_at ?? "") > at),
  };
}

/** Returns the next time of a daily schedule in UTC, `02:30`. */
export function nextAt(at: string, now: Date): Date {
  const [hours = 0, minutes = 0] = at.split(":").map(Number);
  const today = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate(), hours, minutes);
  return new Date(today > now.getTime() ? today : today + DAY_MS);
}
