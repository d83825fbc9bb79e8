/** Command to paste into a shell, on one line with a copy button. */
import { CopyIcon } from "./CodeBlock";
import classes from "./Command.module.css";

export function Command({ text }: { text: string }) {
  return (
    <div className={classes.command}>
      <code className="cut">{text}</code>
      <CopyIcon text={text} label="Copy command" />
    </div>
  );
}
