/** State of the backups as a badge. */
import {
  IconAlertTriangle,
  IconCircleCheckFilled,
  IconCircleXFilled,
  IconClock,
  IconLoader2,
  IconPower,
} from "@tabler/icons-react";
import type { Backup, BackupList } from "@/api/operation";
import type { State } from "@/components/status/states";
import { standingOf } from "./backup-words";

/** Returns the state of all backups; what needs a person comes first. */
export function backupsState(list: BackupList, now: Date): State {
  if (!list.schedule) return { word: "Off", tone: "idle", icon: IconPower };
  if (list.running_since) return { word: "Running", tone: "accent", icon: IconLoader2 };
  const { last, isFailing, isMissed } = standingOf(list, now);
  if (isFailing) return { word: "Failing", tone: "bad", icon: IconAlertTriangle };
  if (isMissed) return { word: "Missed", tone: "careful", icon: IconClock };
  return last
    ? { word: "Backed up", tone: "good", icon: IconCircleCheckFilled }
    : { word: "None yet", tone: "idle", icon: IconClock };
}

/** Returns the state of one backup. */
export function backupState(backup: Pick<Backup, "error" | "verified">): State {
  if (backup.error) return { word: "Not usable", tone: "bad", icon: IconCircleXFilled };
  return backup.verified
    ? { word: "Verified", tone: "good", icon: IconCircleCheckFilled }
    : { word: "Not verified", tone: "idle", icon: IconClock };
}
