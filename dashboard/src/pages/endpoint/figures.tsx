/** The six figures of an endpoint, from its health. */
import type { Endpoint, EndpointHealth } from "@/api/endpoints";
import type { Figure } from "@/components/page/Card";
import { Countdown } from "@/components/time/Countdown";
import { RelativeTime, SinceTime } from "@/components/time/RelativeTime";
import { duration } from "@/lib/words/durations";
import { count, counted, percentOf, perSecond } from "@/lib/words/numbers";
import { calendar, timeOfDay } from "@/lib/words/times";

type Limits = Pick<Endpoint, "rate_limit_per_second" | "status">;

export function figuresOf(
  health: EndpointHealth,
  { rate_limit_per_second: limit, status }: Limits,
): Figure[] {
  return [
    successOf(health),
    latencyOf(health),
    circuitOf(health, status),
    backlogOf(health),
    drainOf(health, limit ?? 0, status),
    nextOf(health),
  ];
}

function successOf({ success_rate: rate, due, arrived, ended }: EndpointHealth): Figure {
  return {
    label: "Success rate",
    value: typeof rate === "number" ? percentOf(rate) : "none due",
    note:
      due === 0
        ? "in 24 hours"
        : `${count(arrived)} of ${count(due)}${ended > 0 ? `, ${count(ended)} missed` : ""}`,
  };
}

function latencyOf({ latency: { p50, p95, p99 } }: EndpointHealth): Figure {
  return {
    label: "Latency p95",
    value: typeof p95 === "number" ? duration(p95) : "no attempt",
    note: typeof p95 === "number" ? `p50 ${duration(p50 ?? 0)}, p99 ${duration(p99 ?? 0)}` : "in 24 hours",
  };
}

function circuitOf(health: EndpointHealth, status: string): Figure {
  const {
    circuit_state: state,
    circuit_open_since: since,
    held_until: until,
    failed_probes: failed,
  } = health;
  if (state === "closed") {
    const note = status === "active" ? "deliveries are sent" : `nothing is sent, ${status}`;
    return { label: "Circuit", value: "Closed", note };
  }
  const word = state === "open" ? "Open" : "Half open";
  return {
    label: "Circuit",
    value: since ? (
      <>
        {word}, <SinceTime value={since} />
      </>
    ) : (
      word
    ),
    isBad: state === "open",
    note: (
      <>
        {until ? (
          <>
            next probe <Countdown to={until} />
          </>
        ) : (
          "one delivery goes as a probe"
        )}
        {failed > 0 && `, ${count(failed)} failed`}
      </>
    ),
  };
}

function backlogOf({ backlog }: EndpointHealth): Figure {
  return {
    label: "Backlog",
    value: count(backlog.pending),
    note: backlog.oldest_at ? (
      <>
        oldest due <RelativeTime value={backlog.oldest_at} />
      </>
    ) : (
      "nothing waits"
    ),
  };
}

function drainOf(health: EndpointHealth, limit: number, status: string): Figure {
  const { backlog, drained_in_s: seconds, due_per_second: arriving, per_second: leaving } = health;
  const label = "Drains in";
  if (backlog.pending === 0) return { label, value: "Empty", note: `${perSecond(arriving)} fall due` };
  if (status === "paused") return { label, value: "When resumed", note: `${perSecond(arriving)} fall due` };
  const isHeld = health.circuit_state !== "closed";
  if (typeof seconds !== "number") {
    return isHeld
      ? { label, value: "Once it answers", note: "no rate is known yet" }
      : {
          label,
          value: "Not at this pace",
          isCareful: true,
          note: `${perSecond(arriving)} fall due${typeof leaving === "number" ? `, ${perSecond(leaving)} leave` : ""}`,
        };
  }
  const pace =
    limit > 0 ? `at ${perSecond(limit)}` : typeof leaving === "number" ? `at ${perSecond(leaving)}` : "";
  return { label, value: duration(seconds * 1000), note: isHeld ? `once it answers, ${pace}` : pace };
}

function nextOf({ next_attempt_at: next, circuit_state: circuit, backlog }: EndpointHealth): Figure {
  const label = "Next attempt";
  if (!next)
    return {
      label,
      value: "None due",
      note: counted(backlog.in_memory, "delivery queued", "deliveries queued"),
    };
  const time = new Date(next);
  const now = new Date();
  const isToday = time.toDateString() === now.toDateString();
  return {
    label,
    value: isToday ? timeOfDay(time) : calendar(time, now),
    note:
      circuit === "closed" ? (
        <Countdown to={next} />
      ) : (
        <>
          <Countdown to={next} />, as a probe
        </>
      ),
  };
}
