/** Difference with minus and plus signs as well as tint. */
import { UnstyledButton } from "@mantine/core";
import { useState } from "react";
import type { DiffLine } from "@/lib/json/diff";
import { counted } from "@/lib/words/numbers";
import classes from "./Diff.module.css";

const FOLD_FROM = 24;

export function Diff({ lines }: { lines: DiffLine[] }) {
  const [isOpen, setOpen] = useState(false);
  const shown = isOpen ? lines : lines.slice(0, FOLD_FROM);
  return (
    <div className={classes.diff}>
      {shown.map((line, index) => (
        <div key={index} className={classes.line} data-kind={line.kind}>
          <span className={classes.sign} aria-label={line.kind}>
            {line.kind === "removed" ? "−" : line.kind === "added" ? "+" : ""}
          </span>
          <code>{line.text}</code>
        </div>
      ))}
      {shown.length < lines.length && (
        <UnstyledButton className="small" onClick={() => setOpen(true)}>
          {counted(lines.length - shown.length, "more line")}. Show
        </UnstyledButton>
      )}
    </div>
  );
}
