/** Retry of everything that a list's filters select, as the API takes it. */
import type { Schemas } from "@/api/client";
import { type FilterField, type Filters, filterWords, timeOfFilter } from "@/lib/filters";

export type RetryRequest = Schemas["RetryMessages"] & { statuses: string[] };

/** Start of a retry without a filter by time: before anything that is kept. */
const ALWAYS = "1970-01-01T00:00:00.000Z";

/** Filters that the operation has no word for. */
const UNKNOWN = ["search", "channel", "event_id"];

/** States of messages, and those of the deliveries that a retry sends because of them. */
const DELIVERIES: Record<string, string> = { failed: "exhausted", skipped: "skipped" };

/** Returns the statuses of deliveries to begin with: those that the filter by status means, else what failed. */
export function statusesOf(filters: Filters): string[] {
  const statuses = (filters["status"] ?? []).flatMap((status) => DELIVERIES[status] ?? []);
  return statuses.length === 0 ? ["exhausted"] : statuses;
}

/** Returns the request for filters, deliveries and a rate. */
export function requestOf(filters: Filters, statuses: string[], rate: number, now: Date): RetryRequest {
  const { since, until, application_id: application, endpoint_id: endpoint, event_type: types } = filters;
  return {
    since: since?.[0] ? timeOfFilter(since[0], now) : ALWAYS,
    ...(until?.[0] ? { until: timeOfFilter(until[0], now) } : {}),
    ...(application?.[0] ? { application_id: application[0] } : {}),
    ...(endpoint?.[0] ? { endpoint_id: endpoint[0] } : {}),
    ...(types && types.length > 0 ? { event_types: types } : {}),
    statuses,
    rate_limit: Math.min(1000, Math.max(1, Math.round(rate) || 100)),
  };
}

/** Returns the filters that a retry cannot apply, in words: `Channel is eu`. */
export function notApplied(filters: Filters, fields: FilterField[]): string[] {
  const states = filters["status"] ?? [];
  const isOfNone = states.length > 0 && !states.some((status) => status in DELIVERIES);
  return [...UNKNOWN, ...(isOfNone ? ["status"] : [])].flatMap((name) => {
    const field = fields.find((one) => one.name === name);
    const values = filters[name];
    if (field === undefined || values === undefined || values.length === 0) return [];
    return [filterWords(field, values)];
  });
}

/** Returns the filters that select messages, in words. The status has fields of its own. */
export function chosenWords(
  filters: Filters,
  fields: FilterField[],
  wordOf: (field: string, value: string) => string | undefined,
): string[] {
  return fields
    .filter(({ name }) => name !== "status" && !UNKNOWN.includes(name))
    .flatMap((field) => {
      const values = filters[field.name] ?? [];
      return values.length === 0 ? [] : [filterWords(field, values, wordOf)];
    });
}

/** Returns the command that starts the same retry. */
export function commandOf(request: RetryRequest, origin: string): string {
  const body = JSON.stringify(request).replaceAll("'", String.raw`'\''`);
  return `curl '${origin}/v1/messages/retry' -H "X-API-Key: $KEY" -d '${body}'`;
}
