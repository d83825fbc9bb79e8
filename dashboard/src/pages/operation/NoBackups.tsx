/** What to set where the server makes no backups: settings for a data directory, tools of the database for PostgreSQL. */
import { IconDatabaseExport } from "@tabler/icons-react";
import { CodeBlock } from "@/components/code/CodeBlock";
import { EmptyState } from "@/components/feedback/EmptyState";
import { Card } from "@/components/page/Card";
import classes from "../pages.module.css";
import { BACKUP_COMMAND, BACKUP_SETTINGS, PG_DUMP } from "./snippets";

/** `database` is null where it is not known. */
export function NoBackups({ database }: { database: string | null }) {
  const isPostgres = database === "postgresql";
  return (
    <>
      <Card>
        <EmptyState
          icon={IconDatabaseExport}
          title={isPostgres ? "PostgreSQL makes the backups" : "The server makes no backups"}
        >
          {isPostgres
            ? "The data is in your database, whose own tools back it up while the nodes run. Keep the encryption key apart: without it no server starts on a backup."
            : "Name a directory, and the server backs up its data each day while it runs. Each backup is consistent, verified, and takes the room of what is new."}
        </EmptyState>
      </Card>
      <div className={classes["grid-half"]}>
        {!isPostgres && (
          <>
            <Card title="Have the server do it each day">
              <CodeBlock text={BACKUP_SETTINGS} isIndented={false} />
              <p className={`small ink-2 ${classes.inset ?? ""}`}>
                The server needs write access to the directory, and a restart reads the settings.
              </p>
            </Card>
            <Card title="Or run it yourself">
              <CodeBlock text={BACKUP_COMMAND} isIndented={false} />
              <p className={`small ink-2 ${classes.inset ?? ""}`}>
                The server may run meanwhile. A cron job or a timer repeats it.
              </p>
            </Card>
          </>
        )}
        {database !== "sqlite" && (
          <Card title="On PostgreSQL">
            <CodeBlock text={PG_DUMP} isIndented={false} />
            <p className={`small ink-2 ${classes.inset ?? ""}`}>
              A snapshot, restored by <code>pg_restore</code>. For recovery to a point in time, archive the
              write-ahead log. After a restore, start one node with <code>--restored</code>, so that what was
              pending is not sent again.
            </p>
          </Card>
        )}
      </div>
    </>
  );
}
