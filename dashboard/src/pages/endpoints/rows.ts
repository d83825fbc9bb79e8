/** Rows of the list of endpoints: their problem, their order and the views that select them. */
import { type ListedEndpoint, nameOf } from "@/api/endpoints";
import { wants } from "@/api/event-types";
import type { Problem } from "@/api/problems";
import { endpointState, type State } from "@/components/status/states";
import { problemState } from "@/components/status/problem-words";
import { listOf } from "@/lib/json/json";

export interface Row extends ListedEndpoint {
  problem: Problem | undefined;
  /** Place among the problems, worst first. */
  rank: number;
}

export interface View {
  name: string;
  label: string;
  has: (row: Row) => boolean;
}

/** Views of the list, in their order. */
export const VIEWS: View[] = [
  { name: "", label: "All endpoints", has: () => true },
  { name: "need", label: "Need you", has: needsYou },
  {
    name: "open",
    label: "Circuit open",
    has: (row) => row.status === "active" && row.circuit_state !== "closed",
  },
  { name: "off", label: "Paused or disabled", has: (row) => row.status !== "active" },
  { name: "quiet", label: "No traffic in 24 h", has: (row) => trafficOf(row) === 0 },
];

export function needsYou(row: Row): boolean {
  return row.problem !== undefined || (row.status === "active" && row.circuit_state === "open");
}

/** Returns how many deliveries fell due in the last day. */
export function trafficOf({ health }: Pick<ListedEndpoint, "health">): number {
  return health.due.reduce((sum, one) => sum + one, 0);
}

/** Returns the rows in their order: those that need a person, the worst first, then by traffic. */
export function rowsOf(endpoints: ListedEndpoint[], problems: Problem[]): Row[] {
  const ranks = new Map(problems.map((problem, index) => [problem.subject.id, index]));
  return endpoints
    .map((one): Row => {
      const rank = ranks.get(one.id);
      return { ...one, problem: rank === undefined ? undefined : problems[rank], rank: rank ?? Infinity };
    })
    .sort((one, other) => {
      const needs = Number(needsYou(other)) - Number(needsYou(one));
      if (needs !== 0) return needs;
      if (one.rank !== other.rank) return one.rank - other.rank;
      return trafficOf(other) - trafficOf(one);
    });
}

/** Returns the state of a row: an open circuit and what its owner set come first, then its problem. */
export function stateOf(row: Row): State {
  const own = endpointState(row);
  if (row.status !== "active" || row.circuit_state !== "closed" || row.problem === undefined) return own;
  return problemState(row.problem);
}

/** Returns whether a row matches a text: its name, address, ids or application. */
export function matches(row: Row, text: string): boolean {
  const wanted = text.toLowerCase();
  return [nameOf(row), row.url, row.id, row.application_name, row.uid ?? ""].some((value) =>
    value.toLowerCase().includes(wanted),
  );
}

/** Returns how many of the event types a row gets: `8 of 46`, `all 46`. */
export function typesOf(
  row: Pick<ListedEndpoint, "filter_types">,
  eventTypes: string[] | undefined,
): { text: string; isAll: boolean } {
  const filter = listOf(row.filter_types);
  const isAll = filter.length === 0 || filter.includes("*");
  if (eventTypes === undefined) return { text: isAll ? "all" : "", isAll };
  if (isAll) return { text: `all ${eventTypes.length}`, isAll };
  return {
    text: `${eventTypes.filter((name) => wants(filter, name)).length} of ${eventTypes.length}`,
    isAll,
  };
}

/** Half hour in which the last delivery arrived, as far as the last day shows it. */
export type LastArrival = { kind: "now" } | { kind: "earlier"; since: Date } | { kind: "none" };

const HALF_HOUR_MS = 1_800_000;

/** Returns when the last delivery arrived; deliveries count in the half hour in which they fell due. */
export function lastArrivalOf({ health }: Pick<ListedEndpoint, "health">): LastArrival {
  const index = health.arrived.findLastIndex((number) => number > 0);
  if (index === -1) return { kind: "none" };
  if (index >= health.arrived.length - 1) return { kind: "now" };
  return { kind: "earlier", since: new Date(Date.parse(health.from) + (index + 1) * HALF_HOUR_MS) };
}
