/** Sentence of the engine. Its times are shown in the viewer's zone; operations, ids and what stands between backticks in monospace. */
import type { ReactNode } from "react";
import { shortId } from "@/lib/words/ids";
import { calendar, timeOfDay } from "@/lib/words/times";
import { ExactOnHover } from "./RelativeTime";

const PART =
  /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|(?:GET|POST|PATCH|DELETE) \/v1\/[^\s,.]+|`[^`]+`|\b[0-9a-f]{32}\b)/;

export function Sentence({ text }: { text: string }) {
  return (
    <>{text.split(PART).map((part, index) => (index % 2 === 0 ? part : <Part key={index} text={part} />))}</>
  );
}

function Part({ text }: { text: string }): ReactNode {
  if (text.startsWith("`")) return <code>{text.slice(1, -1)}</code>;
  if (!/^\d{4}-/.test(text)) {
    const short = text.replaceAll(/[0-9a-f]{32}/g, shortId);
    return <code title={short === text ? undefined : text}>{short}</code>;
  }
  const time = new Date(text);
  const now = new Date();
  const isToday = time.toDateString() === now.toDateString();
  return (
    <ExactOnHover value={text}>
      <time dateTime={text}>{isToday ? timeOfDay(time) : calendar(time, now)}</time>
    </ExactOnHover>
  );
}
