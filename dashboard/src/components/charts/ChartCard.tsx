/** Card of a chart: its number, the change, the chart or the same numbers as a table, and the legend. */
import { IconArrowDownRight, IconArrowUpRight } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { ErrorState } from "@/components/feedback/ErrorState";
import cards from "@/components/page/Page.module.css";
import { type Delta, deltaWords } from "./delta";
import classes from "./Charts.module.css";

export interface Legend {
  kind: "bar" | "bad" | "line" | "quiet" | "dashed" | "dotted";
  label: ReactNode;
}

interface Props {
  title: string;
  figure: ReactNode;
  delta: Delta | null;
  /** Link to the deliveries behind the number. */
  link?: ReactNode;
  legend: Legend[];
  /** Table in place of the chart. */
  table: ReactNode | null;
  error: unknown;
  onRetry: () => void;
  children: ReactNode;
}

export function ChartCard({ title, figure, delta, link, legend, table, error, onRetry, children }: Props) {
  return (
    <section className={cards.card} aria-label={title}>
      <div className={classes.head}>
        <div className="row between-ends">
          <h2 className="quiet">{title}</h2>
          {link}
        </div>
        <div className="row">
          <strong className={classes.figure}>{figure}</strong>
          {delta && <DeltaBadge delta={delta} />}
        </div>
      </div>
      {error ? (
        <ErrorState what={title} error={error} onRetry={onRetry} />
      ) : table !== null ? (
        // A scrolling area must be reachable by keyboard.
        <div className={classes.table} tabIndex={0} role="region" aria-label={`${title} as a table`}>
          {table}
        </div>
      ) : (
        <>
          <div className={classes.body}>{children}</div>
          <div className={classes.legend}>
            {legend.map(({ kind, label }) => (
              <span key={kind} className={classes.key}>
                <span
                  className={kind === "bar" || kind === "bad" ? classes.swatch : classes.stroke}
                  data-kind={kind}
                />
                {label}
              </span>
            ))}
          </div>
        </>
      )}
    </section>
  );
}

/** Shape of a chart while it loads: the three lines of its axis. */
export function ChartShape() {
  return (
    <div className={classes.shape} aria-busy="true" role="status" aria-label="Loading">
      <span />
      <span />
      <span />
    </div>
  );
}

export function DeltaBadge({ delta }: { delta: Delta }) {
  const Icon = delta.isUp ? IconArrowUpRight : IconArrowDownRight;
  return (
    <span className={classes.delta} data-bad={delta.isWorse || undefined} title={delta.basis}>
      <Icon size={14} stroke={1.8} aria-hidden />
      <span className="visually-hidden">{delta.isUp ? "up" : "down"} by</span> {deltaWords(delta)}
    </span>
  );
}
