/** Times of an attempt: one bar in rows, a line for each phase in detail. */
import { duration } from "@/lib/words/durations";
import { isReused, type Phase, phasesOf, totalOf, type WaterfallTimes, withShortQueue } from "./waterfall";
import classes from "./Waterfall.module.css";

interface Props {
  times: WaterfallTimes;
  durationMs: number;
  hasAnswer: boolean;
}

/** Share of a scale that the time in the queue takes at most; a longer one has a break mark. */
const QUEUE_SHARE = 0.2;

/** Bar on a scale that a list shares. A longer attempt ends in a break mark. */
export function WaterfallBar({ times, durationMs, hasAnswer, scaleMs }: Props & { scaleMs: number }) {
  const measured = phasesOf(times, durationMs, hasAnswer);
  const { phases, isQueueCut } = withShortQueue(measured, scaleMs * QUEUE_SHARE);
  const total = totalOf(phases);
  return (
    <div className={classes.bar} role="img" aria-label={sentence(measured, totalOf(measured))}>
      {phases.map((phase) => {
        const start = Math.min(phase.start, scaleMs);
        const end = Math.min(phase.start + phase.ms, scaleMs);
        if (end <= start) return null;
        const style = {
          left: `${(start / scaleMs) * 100}%`,
          width: `max(2px, ${((end - start) / scaleMs) * 100}%)`,
        };
        return <span key={phase.name} className={classes.part} data-phase={kind(phase)} style={style} />;
      })}
      {isQueueCut && <span className={classes.break} style={{ left: `${QUEUE_SHARE * 50}%` }} />}
      {total > scaleMs && <span className={classes.break} />}
    </div>
  );
}

/** A line for each phase, on the attempt's own scale. */
export function WaterfallPhases({ times, durationMs, hasAnswer }: Props) {
  const measured = phasesOf(times, durationMs, hasAnswer);
  const { phases } = withShortQueue(measured, Math.max(durationMs, 1) * QUEUE_SHARE);
  const total = Math.max(totalOf(phases), 0.001);
  return (
    <div className={classes.phases}>
      {phases.map((phase, index) => (
        <div key={phase.name} className={classes.phase}>
          <span className={classes.label}>{phase.label}</span>
          <span className={classes.track}>
            <span
              className={classes.part}
              data-phase={kind(phase)}
              style={{
                left: `${(phase.start / total) * 100}%`,
                width: `max(2px, ${(phase.ms / total) * 100}%)`,
              }}
            />
          </span>
          <span className={classes.ms}>{duration(measured[index]?.ms ?? phase.ms)}</span>
        </div>
      ))}
      {isReused(times) && <p className="small ink-3">The connection was open already.</p>}
    </div>
  );
}

function kind(phase: Phase): string {
  return phase.isBroken ? "broken" : phase.name;
}

function sentence(phases: Phase[], total: number): string {
  const parts = phases.map(
    (phase) => `${phase.label} ${duration(phase.ms)}${phase.isBroken ? ", broken off" : ""}`,
  );
  return `${duration(total)} in all: ${parts.join(", ")}`;
}
