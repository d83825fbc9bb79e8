/** Text for reading: JSON in color, line numbers, copying, wrapping and downloading. */
import { ActionIcon, CopyButton, Tooltip, UnstyledButton } from "@mantine/core";
import { IconCheck, IconCopy, IconDownload, IconTextWrap } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { indentJson, type Token, tokenizeJson } from "@/lib/json/json";
import { counted } from "@/lib/words/numbers";
import classes from "./CodeBlock.module.css";

/** Longest text that is colored. */
const COLOR_LIMIT = 64 * 1024;
const NUMBERS_FROM = 8;
const FOLD_FROM = 40;

interface Props {
  text: string;
  /** Name of the file that a download makes; none offers no download. */
  fileName?: string;
  /** False keeps the text as it is written. */
  isIndented?: boolean;
  hasActions?: boolean;
}

export function CodeBlock({ text, fileName, isIndented = true, hasActions = true }: Props) {
  const [isWrapped, setWrapped] = useState(true);
  const [isOpen, setOpen] = useState(false);
  const lines = useMemo(() => linesOf(text, isIndented), [text, isIndented]);
  const shown = isOpen || lines.length <= FOLD_FROM ? lines : lines.slice(0, FOLD_FROM);
  return (
    <div className={classes.block}>
      {hasActions && (
        <div className={classes.actions}>
          <Tooltip label={isWrapped ? "Do not wrap lines" : "Wrap lines"}>
            <ActionIcon
              size={24}
              aria-label="Wrap lines"
              aria-pressed={isWrapped}
              onClick={() => setWrapped(!isWrapped)}
            >
              <IconTextWrap size={14} stroke={1.6} />
            </ActionIcon>
          </Tooltip>
          {fileName !== undefined && (
            <Tooltip label="Download">
              <ActionIcon size={24} aria-label="Download" onClick={() => download(text, fileName)}>
                <IconDownload size={14} stroke={1.6} />
              </ActionIcon>
            </Tooltip>
          )}
          <CopyIcon text={text} />
        </div>
      )}
      {/* A scrolling area must be reachable by keyboard. */}
      <pre className={classes.code} data-wrapped={isWrapped || undefined} tabIndex={0}>
        {shown.map((line, index) => (
          <div key={index} className={classes.line}>
            {lines.length > NUMBERS_FROM && (
              <span className={classes.number} aria-hidden>
                {index + 1}
              </span>
            )}
            <code className={classes.text}>
              {line.map((token, place) => (
                <span key={place} data-kind={token.kind}>
                  {token.text}
                </span>
              ))}
            </code>
          </div>
        ))}
      </pre>
      {shown.length < lines.length && (
        <UnstyledButton className={classes.more} onClick={() => setOpen(true)}>
          {counted(lines.length - shown.length, "more line")}. Show
        </UnstyledButton>
      )}
    </div>
  );
}

/** Button that copies a text. */
export function CopyIcon({ text, label = "Copy" }: { text: string; label?: string }) {
  return (
    <CopyButton value={text} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : label}>
          <ActionIcon size={24} aria-label={copied ? "Copied" : label} onClick={copy}>
            {copied ? <IconCheck size={14} /> : <IconCopy size={14} stroke={1.6} />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

function linesOf(text: string, isIndented: boolean): Token[][] {
  const colored =
    text.length <= COLOR_LIMIT ? tokenizeJson(isIndented ? (indentJson(text) ?? text) : text) : null;
  return colored ?? text.split("\n").map((line) => [{ kind: "space" as const, text: line }]);
}

function download(text: string, fileName: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text]));
  link.download = fileName;
  link.click();
  URL.revokeObjectURL(link.href);
}
