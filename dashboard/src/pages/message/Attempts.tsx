/** Attempts of one delivery on a shared scale, the next one as a row, and one attempt by phase with its response. */
import { UnstyledButton } from "@mantine/core";
import { IconClock } from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import type { Attempt, MessageKind } from "@/api/messages";
import { WaterfallBar, WaterfallPhases } from "@/components/data/Waterfall";
import { EmptyState } from "@/components/feedback/EmptyState";
import { Card } from "@/components/page/Card";
import { attemptState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { Countdown } from "@/components/time/Countdown";
import { ExactOnHover } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { splitError } from "@/lib/words/errors";
import { calendar, timeOfDay } from "@/lib/words/times";
import classes from "../pages.module.css";
import { Exchange } from "./Exchange";

interface Props {
  title: string;
  attempts: Attempt[];
  selected: string | undefined;
  next: Schemas["NextAttempt"] | null;
  /** Time of the next probe, while the circuit of the endpoint holds the next attempt back. */
  probeAt: string | null;
  onSelect: (attemptId: string) => void;
}

export function Attempts({ title, attempts, selected, next, probeAt, onSelect }: Props) {
  const scale = scaleOf(attempts);
  return (
    <Card
      title={
        <>
          Attempts <span className="small ink-3 regular">{title}</span>
        </>
      }
      aside={<Legend />}
    >
      {attempts.length > 0 && (
        <div className={`${classes.attempt ?? ""} ${classes.attemptHead ?? ""}`} aria-hidden>
          <span>No.</span>
          <span>Began</span>
          <span>Why sent</span>
          <span>Answer</span>
          <span className={classes.between}>
            <span>0</span>
            <span>{duration(Math.round(scale))}</span>
          </span>
          <span className="number-end">Took</span>
        </div>
      )}
      {attempts.map((attempt) => (
        <UnstyledButton
          key={attempt.id}
          className={classes.attempt}
          aria-pressed={attempt.id === selected}
          onClick={() => onSelect(attempt.id)}
        >
          <strong className="number name">{attempt.attempt_number}</strong>
          <ExactOnHover value={attempt.created_at}>
            <span className="number ink-2">{startOf(attempt.created_at)}</span>
          </ExactOnHover>
          <span className="ink-2">{attempt.trigger_type}</span>
          <StatusBadge state={attemptState(attempt)} detail={attempt.error ?? undefined} />
          {attempt.waterfall ? (
            <WaterfallBar
              times={attempt.waterfall}
              durationMs={attempt.duration_ms}
              hasAnswer={Boolean(attempt.response_status)}
              scaleMs={scale}
            />
          ) : (
            <span />
          )}
          <span className="number number-end">{duration(attempt.duration_ms)}</span>
        </UnstyledButton>
      ))}
      {next && (
        <div className={classes.attempt}>
          <span className="number ink-3">{next.attempt_number}</span>
          <span className="number ink-2">{startOf(next.due_at)}</span>
          <span className="ink-3">{next.step === 1 ? "initial" : "automatic"}</span>
          <span className={`row ${classes.attemptNext ?? ""}`}>
            <IconClock size={15} stroke={1.8} />
            {probeAt !== null && new Date(next.due_at) <= new Date(probeAt) ? (
              <span>
                waits for the circuit, probe <Countdown to={probeAt} />
              </span>
            ) : (
              <Countdown to={next.due_at} />
            )}
            <span className="ink-3">{nextWords(next)}</span>
          </span>
        </div>
      )}
      {attempts.length === 0 && next && (
        <EmptyState title="No attempt yet">
          {probeAt === null ? (
            "It is sent as soon as it is due and the endpoint has room."
          ) : (
            <>
              It waits because the circuit is open. Next probe <Countdown to={probeAt} />.
            </>
          )}
        </EmptyState>
      )}
      {attempts.length === 0 && !next && (
        <EmptyState title="No attempt">Nothing was sent to this endpoint.</EmptyState>
      )}
    </Card>
  );
}

function Legend() {
  return (
    <span className={classes.legend} aria-hidden>
      <span data-phase="queue">Queue</span>
      <span data-phase="dns">DNS, TLS</span>
      <span data-phase="connect">Connect, read</span>
      <span data-phase="wait">Wait for answer</span>
      <span data-phase="broken">Broke off here</span>
    </span>
  );
}

/** Returns how many attempts may follow the next one. */
function nextWords({ step, steps, is_taken: isTaken }: Schemas["NextAttempt"]): string {
  if (isTaken) return "queued on a node";
  const more = steps - step;
  return more <= 0 ? "the last one" : `then ${more} more`;
}

function startOf(time: string): string {
  const date = new Date(time);
  const now = new Date();
  return date.toDateString() === now.toDateString() ? timeOfDay(date) : calendar(date, now);
}

/**
 * Scale of a list: its longest attempt, but at most four times the median, so that one timeout flattens nothing. The
 * time in the queue has little room of its own.
 */
export function scaleOf(attempts: Pick<Attempt, "duration_ms">[]): number {
  const times = attempts.map((one) => one.duration_ms).sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)] ?? 1;
  return Math.max(1, Math.min(times[times.length - 1] ?? 1, median * 4) * 1.25);
}

export function AttemptDetail({ attempt, kind }: { attempt: Attempt; kind: MessageKind }) {
  const error = attempt.error ? splitError(attempt.error) : null;
  return (
    <>
      <Card
        title={`Attempt ${attempt.attempt_number}`}
        aside={`${timeOfDay(new Date(attempt.created_at), true)}, ${duration(attempt.duration_ms)}`}
        isPadded
      >
        <div className="stack-small">
          {error && (
            <p>
              <code className="name">{error.word}</code> {error.sentence}
            </p>
          )}
          {attempt.waterfall && (
            <WaterfallPhases
              times={attempt.waterfall}
              durationMs={attempt.duration_ms}
              hasAnswer={Boolean(attempt.response_status)}
            />
          )}
        </div>
      </Card>
      <Exchange attempt={attempt} kind={kind} />
    </>
  );
}
