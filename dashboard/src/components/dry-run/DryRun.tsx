/** Result of a dry run: figures, a sample, and what is left out. Its size stays while it counts. */
import { IconFlask } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { ActError } from "@/components/feedback/ErrorState";
import { duration } from "@/lib/words/durations";
import classes from "./DryRun.module.css";
import type { DryRunState } from "./useDryRun";

/** Messages of a sample that are shown. */
export const SAMPLE = 3;

interface Props {
  state: DryRunState<unknown>;
  /** Figures with their words; a figure that is not known yet is undefined. */
  figures: [string | undefined, ReactNode][];
  /** Rows of the sample, and notes. */
  children: ReactNode;
}

export function DryRun({ state: { counted, error, isFresh }, figures, children }: Props) {
  return (
    <section className={classes.result} aria-live="polite" data-stale={!isFresh || undefined}>
      <div className={classes.resultHead}>
        <h3 className="row">
          <IconFlask size={15} stroke={1.7} /> Dry run: nothing has been sent
        </h3>
        <span className="small ink-3">
          {counted ? `counted in ${duration(Math.round(counted.tookMs))}` : "counting"}
        </span>
      </div>
      {error ? (
        <ActError error={error} />
      ) : (
        <>
          <div className={classes.numbers}>
            {figures.map(([value, words], index) => (
              <span key={index} className={classes.number}>
                <strong>{value ?? "\u2007"}</strong>
                <span>{words}</span>
              </span>
            ))}
          </div>
          <div className={classes.sample}>{children}</div>
        </>
      )}
    </section>
  );
}

/** Row of a sample. */
export function SampleRow({ children }: { children: ReactNode }) {
  return <div className={classes.sampleRow}>{children}</div>;
}

/** Line below a sample. */
export function SampleNote({ children }: { children: ReactNode }) {
  return (
    <div className={classes.sampleRow} data-note>
      {children}
    </div>
  );
}
