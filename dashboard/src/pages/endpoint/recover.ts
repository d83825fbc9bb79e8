/** Decisions of the recover dialog: times to choose from, how long it takes until all arrive, the command. */
import type { Endpoint, EndpointHealth } from "@/api/endpoints";
import type { DryRun, JobRequest } from "@/api/jobs";
import { RANGES, timeOfFilter } from "@/lib/filters";
import { calendar } from "@/lib/words/times";

/** Value of a choice of times that stands for a time of one's own. */
export const CUSTOM = "custom";

export interface TimeChoice {
  value: string;
  label: string;
}

/** Returns the starts that a form offers: those that the endpoint's history suggests, then ranges. */
export function startsOf(
  endpoint: Pick<Endpoint, "disabled_at" | "created_at">,
  health: Pick<EndpointHealth, "failing_since" | "circuit_open_since"> | undefined,
  now: Date,
): TimeChoice[] {
  const at = (time: string | null | undefined, what: string): TimeChoice[] =>
    time ? [{ value: time, label: `${calendar(new Date(time), now)}, ${what}` }] : [];
  return [
    ...at(endpoint.disabled_at, "disabled"),
    ...at(health?.circuit_open_since, "circuit opened"),
    ...at(health?.failing_since, "first failure"),
    ...RANGES.map(({ value, label }) => ({ value, label })),
    { value: "30d", label: "the last 30 days" },
    { value: CUSTOM, label: "a time of your own" },
  ];
}

/** Returns the time that a choice means. */
export function timeOfChoice(value: string, own: string, now: Date): string | null {
  if (value === CUSTOM)
    return own === "" || Number.isNaN(Date.parse(own)) ? null : new Date(own).toISOString();
  if (value === "30d") return new Date(now.getTime() - 30 * 86_400_000).toISOString();
  return timeOfFilter(value, now);
}

/** Returns the seconds until everything has arrived, behind what waits already; null if no rate is known. */
export function secondsUntilArrived(
  result: Pick<DryRun, "count" | "duration_s">,
  health: Pick<EndpointHealth, "backlog" | "per_second"> | undefined,
  limit: number | null | undefined,
): number | null {
  if (health === undefined) return null;
  const rate = limit && limit > 0 ? limit : health.per_second;
  if (typeof rate !== "number" || rate <= 0) return null;
  return Math.max(result.duration_s, (health.backlog.pending + result.count) / rate);
}

/** Returns the command that starts the same job. */
export function commandOf(request: JobRequest, endpointId: string, application: string): string {
  const { since, until, statuses } = request.body;
  const parts = [
    `hookstream endpoints ${request.kind} ${endpointId}`,
    `--app ${application}`,
    `--since ${since}`,
  ];
  if (until) parts.push(`--until ${until}`);
  if (request.kind === "recover" && Array.isArray(statuses)) parts.push(`--statuses ${statuses.join(",")}`);
  if (request.kind === "replay" && Array.isArray(request.body.event_types))
    parts.push(`--event-type ${request.body.event_types.join(",")}`);
  return parts.join(" ");
}
