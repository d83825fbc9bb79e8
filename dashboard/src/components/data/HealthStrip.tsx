/** Health of the last day as bars of half hours. Height is what fell due; red from the top is what has not arrived. */
import { Tooltip } from "@mantine/core";
import type { KeyboardEvent } from "react";
import { count } from "@/lib/words/numbers";
import { timeOfDay } from "@/lib/words/times";
import { barsOf, type HealthBucket, sentenceOfHealth } from "./health";
import classes from "./HealthStrip.module.css";

interface Props {
  buckets: HealthBucket[];
  height?: number;
  /** Address of the messages of a bucket. */
  hrefOf: (bucket: HealthBucket) => string;
}

export function HealthStrip({ buckets, height = 24, hrefOf }: Props) {
  const bars = barsOf(buckets, height);
  return (
    <div
      className={classes.strip}
      style={{ height }}
      role="group"
      aria-label={sentenceOfHealth(buckets)}
      onKeyDown={move}
    >
      {buckets.map((bucket, index) => {
        const bar = bars[index];
        if (bar === undefined) return null;
        return (
          <Tooltip key={bucket.since} label={wordsOf(bucket)}>
            <a
              href={hrefOf(bucket)}
              className={bar.isIdle ? classes.idle : classes.bar}
              style={{ height: bar.height }}
              aria-label={wordsOf(bucket)}
              tabIndex={index === buckets.length - 1 ? 0 : -1}
            >
              {bar.missing > 0 && <span className={classes.missing} style={{ height: bar.missing }} />}
            </a>
          </Tooltip>
        );
      })}
    </div>
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
