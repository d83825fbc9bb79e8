/** Why an endpoint does not deliver, since when, what it means, and the one act that helps. One banner at most. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { latestChangesQuery } from "@/api/audit";
import type { Endpoint, EndpointHealth, EndpointPath } from "@/api/endpoints";
import type { Problem } from "@/api/problems";
import { useMay, useSession } from "@/api/session";
import { endpointLink } from "@/components/data/links";
import { Banner } from "@/components/feedback/Banner";
import { Countdown } from "@/components/time/Countdown";
import { ExactOnHover } from "@/components/time/RelativeTime";
import { Sentence } from "@/components/time/Sentence";
import { counted } from "@/lib/words/numbers";
import { calendar } from "@/lib/words/times";
import { changeOf } from "../settings/audit-words";
import { changeBefore } from "./change-before";

interface Props {
  path: EndpointPath;
  endpoint: Endpoint;
  health: EndpointHealth | undefined;
  problem: Problem | undefined;
  /** Act for an endpoint that was disabled or waits for a probe; absent without the authority. */
  action: ReactNode;
}

const DISABLED: Record<string, string> = {
  gone: "The receiver answered 410, so Hookstream disabled the endpoint",
  asked_to_stop:
    "The receiver asked to stop (webhook-delivery: disable), so Hookstream disabled the endpoint",
  kept_failing: "Every attempt failed for days, so Hookstream disabled the endpoint",
};

export function CauseBanner({ path, endpoint, health, problem, action }: Props) {
  const waiting = health?.backlog.pending ?? 0;
  const since = problem?.since ?? health?.failing_since ?? null;
  const ends = problem?.disables_at ?? health?.disables_at ?? null;
  if (endpoint.status === "paused") {
    return (
      <Banner tone="plain" action={action}>
        Paused: messages are kept and nothing is sent. Since then{" "}
        {waits(waiting, "go in order when you resume")}
      </Banner>
    );
  }
  if (endpoint.status === "disabled") {
    const reason = DISABLED[endpoint.disabled_reason ?? ""] ?? "The endpoint is disabled";
    return (
      <Banner tone="careful" action={action}>
        {reason}
        {endpoint.disabled_at && (
          <>
            {" "}
            <At value={endpoint.disabled_at} />
          </>
        )}
        .{" "}
        {path.appId === null
          ? "Events are kept as skipped messages while it is disabled."
          : "Messages that it wants are kept as skipped and can be recovered once it is enabled."}
      </Banner>
    );
  }
  if (endpoint.status !== "active") return null;
  const isFailing = endpoint.circuit_state !== "closed" || problem?.kind === "endpoint_failing";
  if (isFailing) {
    return (
      <Banner tone={endpoint.circuit_state === "half_open" ? "careful" : "bad"} action={action}>
        <strong className="name">
          <Sentence text={problem?.cause.sentence ?? "Attempts failed in a row."} />
        </strong>{" "}
        {since && (
          <>
            Since <At value={since} hasAt={false} />
            <After path={path} since={since} />.{" "}
          </>
        )}
        Nothing is lost: {waits(waiting, "go in order once a probe succeeds")}
        {ends && (
          <>
            {" "}
            If nothing changes, it is disabled <At value={ends} />.
          </>
        )}
      </Banner>
    );
  }
  if (endpoint.hold_reason === "retry_after" && endpoint.held_until) {
    return (
      <Banner tone="careful">
        The receiver asked to wait (<code>Retry-After</code>). The next attempt goes{" "}
        <Countdown to={endpoint.held_until} />.
      </Banner>
    );
  }
  if (problem) {
    return (
      <Banner tone="careful" action={action}>
        <Sentence text={problem.cause.sentence} />
      </Banner>
    );
  }
  return null;
}

function waits(waiting: number, what: string): string {
  return waiting === 0
    ? "nothing waits."
    : `${counted(waiting, "delivery waits", "deliveries wait")} and ${what}.`;
}

/** Time in a sentence: `at 03:02`, `on 4 Dec, 03:02`, `yesterday, 17:02`. */
function At({ value, hasAt = true }: { value: string; hasAt?: boolean }) {
  const text = calendar(new Date(value), new Date());
  const preposition = /^\d\d:/.test(text)
    ? hasAt
      ? "at "
      : ""
    : /^(yesterday|tomorrow)/.test(text)
      ? ""
      : "on ";
  return (
    <ExactOnHover value={value}>
      <time dateTime={value}>
        {preposition}
        {text}
      </time>
    </ExactOnHover>
  );
}

/** Change of the endpoint shortly before it began to fail. */
function After({ path, since }: { path: EndpointPath; since: string }) {
  const { env_id } = useSession();
  const mayRead = useMay("audit:read");
  const { data = [] } = useQuery({
    ...latestChangesQuery(env_id ?? "", path.id),
    enabled: mayRead && Boolean(env_id),
  });
  const change = changeBefore(data, since);
  if (change === null) return null;
  return (
    <>
      , {counted(change.minutes, "minute")} after{" "}
      <Link {...endpointLink(path, { tab: "activity" })}>a change: {changeOf(change.entry)}</Link>
    </>
  );
}
