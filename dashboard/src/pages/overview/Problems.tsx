/** What is wrong now: for whom, since when, what waits, and the one act that helps. Worst first. */
import { Button } from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { Link, type LinkProps } from "@tanstack/react-router";
import { IconChevronRight } from "@tabler/icons-react";
import { type EndpointHealth, healthQuery } from "@/api/endpoints";
import type { Problem } from "@/api/problems";
import { Sparkline } from "@/components/data/Sparkline";
import { Card } from "@/components/page/Card";
import { StatusBadge } from "@/components/status/StatusBadge";
import { circuitState } from "@/components/status/states";
import { isMissed, problemState, subjectWords, waitingWords } from "@/components/status/problem-words";
import { SortAgain } from "@/components/table/SortAgain";
import { useStableOrder } from "@/components/table/stable-order";
import { Countdown } from "@/components/time/Countdown";
import { ExactOnHover, SinceTime } from "@/components/time/RelativeTime";
import { Sentence } from "@/components/time/Sentence";
import { useNow } from "@/components/time/ticker";
import { count, counted } from "@/lib/words/numbers";
import { calendar, lasting } from "@/lib/words/times";
import { backlogCurve, moreOfCause } from "./cause";
import { Remedy, useHasRemedy } from "./Remedy";
import classes from "./Overview.module.css";

const SHOWN = 6;

/** A problem is known by what it is about: an endpoint has one at most. */
const keyOf = ({ kind, subject }: Problem) => subject.id ?? kind;

export function Problems({ problems: worstFirst, isPartial }: { problems: Problem[]; isPartial: boolean }) {
  const order = useStableOrder(worstFirst, keyOf);
  const problems = order.rows;
  const shown = problems.slice(0, SHOWN);
  const ofEndpoints = shown.filter((one) => one.subject.kind === "endpoint");
  const healths = useQueries({
    queries: ofEndpoints.map(({ subject }) => ({
      ...healthQuery({ appId: subject.application_id ?? "", id: subject.id ?? "" }),
      staleTime: 10_000,
    })),
    combine: (results) => new Map(results.flatMap(({ data }) => (data ? [[data.endpoint_id, data]] : []))),
  });
  const more = problems.length - shown.length;
  return (
    <Card
      title="What is wrong now"
      aside={
        <SortAgain isStale={order.isStale} onSort={order.sort}>
          Most affected first
        </SortAgain>
      }
    >
      <ul className={classes.problems}>
        {shown.map((problem, index) => (
          <Row
            key={keyOf(problem)}
            problem={problem}
            health={healths.get(problem.subject.id ?? "")}
            isFirst={index === 0}
          />
        ))}
      </ul>
      {more > 0 && (
        <p className={classes.more}>
          <Link to="/dashboard/endpoints" search={{ view: "need" }}>
            {count(more)}
            {isPartial ? "+" : ""} more
          </Link>
        </p>
      )}
    </Card>
  );
}

interface RowProps {
  problem: Problem;
  health: EndpointHealth | undefined;
  isFirst: boolean;
}

function Row({ problem, health, isFirst }: RowProps) {
  const hasRemedy = useHasRemedy()(problem);
  const { name, detail } = subjectWords(problem);
  const link = linkOf(problem);
  const isHalfOpen = problem.kind === "circuit_open" && health?.circuit_state === "half_open";
  const curve = backlogCurve(health?.half_hours ?? []);
  return (
    <li className={classes.problem} data-first={isFirst || undefined}>
      <span className={classes.state}>
        <StatusBadge state={isHalfOpen ? circuitState("half_open") : problemState(problem)} isTinted />
      </span>
      <div className={classes.who}>
        <div className="row">
          {link ? (
            <Link {...link} className="link-plain name cut">
              {name}
            </Link>
          ) : (
            <span className="name">{name}</span>
          )}
          <code className={`ink-2 cut ${classes.address ?? ""}`}>{detail}</code>
        </div>
        <div className="small ink-2">
          <Sentence text={problem.cause.sentence} /> {moreOfCause(problem, health)}
          <NextProbe health={health} />
        </div>
      </div>
      <Since problem={problem} />
      <span className={classes.curve}>
        {curve.length > 0 && (
          <Sparkline
            values={curve}
            isBad={problemState(problem).tone === "bad" && !isMissed(problem)}
            label="Deliveries of the last 24 hours that have not arrived, added up"
          />
        )}
      </span>
      <span className={`number name ${classes.waiting ?? ""}`}>
        {problem.since && (
          <span className="phone-only small regular ink-2">
            <SinceTime value={problem.since} />,{" "}
          </span>
        )}
        {waitingWords(problem)}
      </span>
      <span className={classes.explain}>
        {link && (
          <Button variant="subtle" color="gray" renderRoot={(props) => <Link {...props} {...link} />}>
            Explain
          </Button>
        )}
      </span>
      <span className={classes.remedy}>{hasRemedy && <Remedy problem={problem} isFirst={isFirst} />}</span>
      {link && (
        <Link {...link} className={classes.open} aria-label={`Open ${name}`}>
          <IconChevronRight size={18} stroke={1.7} />
        </Link>
      )}
    </li>
  );
}

/** Failed probes of an open circuit, and the next one. */
function NextProbe({ health }: { health: EndpointHealth | undefined }) {
  if (!health || health.circuit_state === "closed" || !health.held_until) return null;
  const failed = health.failed_probes;
  return (
    <>
      {failed > 0 ? `${counted(failed, "probe")} failed, the next goes ` : "The next probe goes "}
      <Countdown to={health.held_until} />.
    </>
  );
}

/** How long a problem lasts, or when it begins. */
function Since({ problem }: { problem: Problem }) {
  const since = problem.since ? new Date(problem.since) : null;
  const now = useNow(since?.getTime() ?? 0);
  if (since === null) {
    const days = Number(problem.cause.params["in_days"] ?? 0);
    return (
      <span className={classes.since}>
        {days > 0 ? (
          <>
            <span>forecast</span>
            <span className="small ink-3">in {days === 1 ? "a day" : `${days} days`}</span>
          </>
        ) : problem.kind === "deliveries_missed" ? (
          <span className="small ink-3">in the last 24 h</span>
        ) : null}
      </span>
    );
  }
  return (
    <span className={classes.since}>
      <ExactOnHover value={since.toISOString()}>
        <span className="number">{lasting(since, now)}</span>
      </ExactOnHover>
      <span className="small ink-3 number">since {calendar(since, now)}</span>
    </span>
  );
}

function linkOf({ kind, subject }: Problem): LinkProps | null {
  if (subject.kind === "endpoint" && subject.application_id && subject.id)
    return {
      to: "/dashboard/endpoints/$appId/$id",
      params: { appId: subject.application_id, id: subject.id },
    };
  if (kind === "storage_budget" || kind === "quota")
    return { to: "/dashboard/settings/$section", params: { section: "usage" } };
  return null;
}
