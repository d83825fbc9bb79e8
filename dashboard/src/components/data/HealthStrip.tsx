/** Health of the last day as bars of half hours. Height is what fell due; red from the top is what has not arrived. */
import { Tooltip } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, type ReactNode, useState } from "react";
import { count } from "@/lib/words/numbers";
import { timeOfDay } from "@/lib/words/times";
import { barsOf, type HealthBucket, sentenceOfHealth } from "./health";
import classes from "./HealthStrip.module.css";

interface Props {
  buckets: HealthBucket[];
  height?: number;
  /** Address of the messages of a bucket. Without it the strip is a picture, such as inside of a link. */
  hrefOf?: (bucket: HealthBucket) => string;
  /** True in a list: the strip's bars are reached by the pointer, and its row by the tab key. */
  isOneStop?: boolean;
}

export function HealthStrip({ buckets, height = 24, hrefOf, isOneStop = false }: Props) {
  const bars = barsOf(buckets, height);
  const navigate = useNavigate();
  const [shown, setShown] = useState<number | null>(null);
  const current = shown === null ? undefined : buckets[shown];
  const strip = (
    <div
      className={classes.strip}
      style={{ height }}
      role={hrefOf ? "group" : "img"}
      aria-label={sentenceOfHealth(buckets)}
      onKeyDown={hrefOf ? move : undefined}
      onPointerLeave={() => setShown(null)}
    >
      {buckets.map((bucket, index) => {
        const bar = bars[index];
        if (bar === undefined) return null;
        const look = { className: bar.isIdle ? classes.idle : classes.bar, style: { height: bar.height } };
        const missing: ReactNode = bar.missing > 0 && (
          <span className={classes.missing} style={{ height: bar.missing }} />
        );
        return hrefOf ? (
          <a
            key={bucket.since}
            href={hrefOf(bucket)}
            className={classes.slot}
            aria-label={wordsOf(bucket)}
            tabIndex={!isOneStop && index === buckets.length - 1 ? 0 : -1}
            onClick={(event) => {
              if (event.metaKey || event.ctrlKey || event.shiftKey) return;
              event.preventDefault();
              void navigate({ href: hrefOf(bucket) });
            }}
            onPointerEnter={() => setShown(index)}
            onFocus={() => setShown(index)}
            onBlur={() => setShown(null)}
          >
            <span {...look}>{missing}</span>
          </a>
        ) : (
          <span key={bucket.since} className={classes.slot}>
            <span {...look}>{missing}</span>
          </span>
        );
      })}
    </div>
  );
  // One tooltip for the whole strip: a list has thousands of bars.
  return hrefOf ? (
    <Tooltip.Floating label={current ? wordsOf(current) : ""} disabled={current === undefined}>
      {strip}
    </Tooltip.Floating>
  ) : (
    strip
  );
}

function wordsOf(bucket: HealthBucket): string {
  const [since, until] = [bucket.since, bucket.until].map((time) => timeOfDay(new Date(time)).slice(0, 5));
  return `${since} to ${until}: ${count(bucket.due)} due, ${count(bucket.arrived)} arrived`;
}

/** Arrow keys move along the bars, so that the strip is one stop of the tab key. */
function move(event: KeyboardEvent<HTMLDivElement>): void {
  const step =
    event.key === "ArrowLeft"
      ? "previousElementSibling"
      : event.key === "ArrowRight"
        ? "nextElementSibling"
        : null;
  const next = step === null ? null : document.activeElement?.[step];
  if (next instanceof HTMLElement) {
    event.preventDefault();
    next.focus();
  }
}
