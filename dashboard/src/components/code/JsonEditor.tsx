/** Editor of a JSON text: line numbers, and what is wrong under the line where it is. */
import { useId, useRef } from "react";
import type { JsonProblem } from "@/lib/json/problem";
import classes from "./JsonEditor.module.css";

interface Props {
  label: string;
  value: string;
  /** What is wrong, with its line counted from 1; line 0 stands for the whole text. */
  problem: JsonProblem | null;
  isReadOnly?: boolean;
  onChange: (value: string) => void;
}

const LINE = 19;
const LEAST_LINES = 16;

export function JsonEditor({ label, value, problem, isReadOnly = false, onChange }: Props) {
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const lines = value.split("\n").length;
  const shown = Math.max(LEAST_LINES, lines + 1);
  return (
    <div className={classes.editor} data-wrong={problem !== null || undefined}>
      <div className={classes.lines} aria-hidden>
        {Array.from({ length: lines }, (_, index) => (
          <span key={index} data-wrong={problem?.line === index + 1 || undefined}>
            {index + 1}
          </span>
        ))}
      </div>
      <div className={classes.body}>
        {problem !== null && problem.line > 0 && (
          <span className={classes.mark} style={{ top: (problem.line - 1) * LINE }} aria-hidden />
        )}
        <textarea
          ref={area}
          className={classes.text}
          style={{ height: shown * LINE }}
          aria-label={label}
          aria-invalid={problem !== null}
          aria-describedby={problem === null ? undefined : id}
          spellCheck={false}
          wrap="off"
          readOnly={isReadOnly}
          value={value}
          onChange={(event) => onChange(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.metaKey || event.ctrlKey || isReadOnly) return;
            event.preventDefault();
            indentNextLine(event.currentTarget, onChange);
          }}
        />
        {problem !== null && (
          <p
            id={id}
            role="alert"
            className={classes.problem}
            style={{ top: problem.line === 0 ? (shown - 1) * LINE : problem.line * LINE }}
          >
            {problem.message}
          </p>
        )}
      </div>
    </div>
  );
}

/** Begins a line with the indentation of the one before, and one step more after an opening bracket. */
function indentNextLine(area: HTMLTextAreaElement, onChange: (value: string) => void): void {
  const { value, selectionStart: start, selectionEnd: end } = area;
  const line = value.slice(value.lastIndexOf("\n", start - 1) + 1, start);
  const indent = (/^\s*/.exec(line)?.[0] ?? "") + (/[[{]\s*$/.test(line) ? "  " : "");
  onChange(`${value.slice(0, start)}\n${indent}${value.slice(end)}`);
  const place = start + 1 + indent.length;
  requestAnimationFrame(() => area.setSelectionRange(place, place));
}
