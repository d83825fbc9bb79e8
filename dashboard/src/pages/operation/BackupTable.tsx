/** Table of the kept backups. */
import type { Backup } from "@/api/operation";
import { IdCopy } from "@/components/status/IdCopy";
import { StatusBadge } from "@/components/status/StatusBadge";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { bytes, count } from "@/lib/words/numbers";
import { backupState } from "./backup-state";
import classes from "./operation.module.css";

export function BackupTable({ backups }: { backups: Backup[] }) {
  return (
    <PlainTable
      label="Kept backups"
      rows={backups}
      idOf={(backup) => backup.name}
      columns={[
        {
          head: "State",
          cell: (backup) => <StatusBadge state={backupState(backup)} />,
        },
        {
          head: "Name",
          cell: (backup) => (
            <>
              <IdCopy value={backup.name} isFull label="name of the backup" />
              {backup.error && <div className={classes.error}>{backup.error}</div>}
            </>
          ),
        },
        {
          head: "Made",
          cell: (backup) => (backup.created_at ? <RelativeTime value={backup.created_at} /> : ""),
        },
        { head: "Version", cell: (backup) => <code className="ink-2">{backup.version}</code> },
        {
          head: "Days",
          cell: (backup) => (backup.error ? "" : count(backup.days)),
          isNumber: true,
        },
        {
          head: "Took",
          cell: (backup) => (backup.error ? "" : duration(backup.duration_ms)),
          isNumber: true,
        },
        {
          head: "New",
          cell: (backup) => (backup.error ? "" : bytes(backup.new_bytes)),
          isNumber: true,
        },
        { head: "Size", cell: (backup) => (backup.error ? "" : bytes(backup.bytes)), isNumber: true },
      ]}
    />
  );
}
