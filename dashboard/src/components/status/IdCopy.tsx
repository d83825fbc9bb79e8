/** Id that copies on click. It never follows the link of its row. */
import { CopyButton, Tooltip, UnstyledButton } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { shortId } from "@/lib/words/ids";
import classes from "./IdCopy.module.css";

interface Props {
  value: string;
  /** Text in place of the short id. */
  text?: string;
  isFull?: boolean;
  /** What is copied, for screen readers. */
  label?: string;
}

export function IdCopy({ value, text, isFull = false, label = "id" }: Props) {
  const shown = text ?? (isFull ? value : shortId(value));
  return (
    <CopyButton value={value} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : value} disabled={!copied && shown === value}>
          <UnstyledButton
            className={classes.id}
            data-copied={copied || undefined}
            aria-label={`${shown}, copy ${label}`}
            onClick={(event) => {
              event.preventDefault();
              event.stopPropagation();
              copy();
            }}
          >
            <span className={classes.text}>{shown}</span>
            {copied ? <IconCheck size={14} /> : <IconCopy size={14} stroke={1.6} className={classes.icon} />}
            <span role="status" className="visually-hidden">
              {copied ? "Copied" : ""}
            </span>
          </UnstyledButton>
        </Tooltip>
      )}
    </CopyButton>
  );
}
