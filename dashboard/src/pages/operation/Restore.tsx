/** Cards beside the list of backups: how to restore one, and what a backup on this machine does not cover. */
import { CodeBlock } from "@/components/code/CodeBlock";
import { Card } from "@/components/page/Card";
import classes from "../pages.module.css";
import { restoreCommands } from "./snippets";

export function Restore({ directory }: { directory: string }) {
  return (
    <>
      <Card title="Restore the newest">
        <CodeBlock text={restoreCommands(directory)} isIndented={false} />
        <p className={`small ink-2 ${classes.inset ?? ""}`}>
          The first command compares every checksum and restores nothing. The second needs a new or empty
          directory. What was pending in the backup is not sent again.
        </p>
      </Card>
      <Card title="Keep apart" isPadded>
        <div className="stack-small">
          <p>
            <strong className="name">The encryption key</strong> is not in these backups, and without it no
            server starts on one. Keep a copy of it, away from them.
          </p>
          <p>
            <strong className="name">Another machine</strong> should have a copy of the directory.{" "}
            <code>rsync -aH</code> keeps its hard links.
          </p>
        </div>
      </Card>
    </>
  );
}
