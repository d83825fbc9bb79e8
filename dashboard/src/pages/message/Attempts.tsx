/** Attempts of one delivery on a shared scale, the next one as a row, and one attempt by phase with its response. */
import { UnstyledButton } from "@mantine/core";
import { IconClock } from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import type { Attempt } from "@/api/messages";
import { CodeBlock } from "@/components/code/CodeBlock";
import { totalOf, phasesOf } from "@/components/data/waterfall";
import { WaterfallBar, WaterfallPhases } from "@/components/data/Waterfall";
import { EmptyState } from "@/components/feedback/EmptyState";
import { Card, Facts } from "@/components/page/Card";
import { IdCopy } from "@/components/status/IdCopy";
import { attemptState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { Countdown } from "@/components/time/Countdown";
import { ExactOnHover } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { splitError } from "@/lib/words/errors";
import { bytes } from "@/lib/words/numbers";
import { calendar, timeOfDay } from "@/lib/words/times";
import classes from "../pages.module.css";

interface Props {
  title: string;
  attempts: Attempt[];
  selected: string | undefined;
  next: Schemas["NextAttempt"] | null;
  onSelect: (attemptId: string) => void;
}

export function Attempts({ title, attempts, selected, next, onSelect }: Props) {
  const scale = scaleOf(attempts);
  return (
    <Card title="Attempts" aside={title}>
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
            <Countdown to={next.due_at} />
            <span className="ink-3">
              step {next.step} of {next.steps}
            </span>
          </span>
        </div>
      )}
      {attempts.length === 0 && !next && (
        <EmptyState title="No attempt">Nothing was sent to this endpoint.</EmptyState>
      )}
    </Card>
  );
}

function startOf(time: string): string {
  const date = new Date(time);
  const now = new Date();
  return date.toDateString() === now.toDateString() ? timeOfDay(date) : calendar(date, now);
}

/** Scale of a list: its longest attempt, but at most four times the median, so that one timeout flattens nothing. */
export function scaleOf(attempts: Attempt[]): number {
  const totals = attempts
    .flatMap((one) =>
      one.waterfall ? [totalOf(phasesOf(one.waterfall, one.duration_ms, Boolean(one.response_status)))] : [],
    )
    .sort((a, b) => a - b);
  const median = totals[Math.floor(totals.length / 2)] ?? 1;
  return Math.max(1, Math.min(totals[totals.length - 1] ?? 1, median * 4));
}

const BODY_LIMIT = 16 * 1024;

export function AttemptDetail({ attempt }: { attempt: Attempt }) {
  const error = attempt.error ? splitError(attempt.error) : null;
  const body = attempt.response_body;
  const size = body ? new Blob([body]).size : 0;
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
      <div className={classes["grid-half"]}>
        <Card title="Request">
          <Facts
            facts={[
              ["Address", <code key="url">{attempt.endpoint_url ?? "deleted"}</code>],
              ["webhook-id", <IdCopy key="id" value={attempt.message_id} isFull />],
              ["Attempt", <IdCopy key="attempt" value={attempt.id} isFull />],
              ["Sent because", attempt.trigger_type],
            ]}
          />
        </Card>
        <Card title="Response" aside={<StatusBadge state={attemptState(attempt)} />}>
          {body ? (
            <>
              <CodeBlock text={body} />
              <p className={`small ink-3 ${classes.inset ?? ""}`}>
                {size >= BODY_LIMIT ? "The first 16 KiB. Longer answers are cut here." : `${bytes(size)}.`}
              </p>
            </>
          ) : (
            <EmptyState title={attempt.response_status ? "No body" : "No answer"} />
          )}
        </Card>
      </div>
    </>
  );
}
