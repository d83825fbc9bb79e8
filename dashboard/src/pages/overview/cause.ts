/** Cause of a problem with what the endpoint's health adds: failed probes, the next one, rates. */
import type { EndpointHealth } from "@/api/endpoints";
import type { Problem } from "@/api/problems";
import { counted, perSecond } from "@/lib/words/numbers";

/** Returns sentences that follow the cause: `47 probes failed in a row.` */
export function moreOfCause(problem: Problem, health: EndpointHealth | undefined): string {
  if (health === undefined) return "";
  if (problem.kind === "circuit_open" && health.failed_probes > 0)
    return `${counted(health.failed_probes, "probe")} failed in a row.`;
  if (problem.kind === "backlog_growing") {
    const leaves = typeof health.per_second === "number" ? `, ${perSecond(health.per_second)} leave` : "";
    return `${perSecond(health.due_per_second)} arrive${leaves}.`;
  }
  return "";
}

/** Returns how many deliveries had not arrived at the end of each half hour, for a curve. */
export function backlogCurve(halfHours: { due: number; arrived: number }[]): number[] {
  let missing = 0;
  return halfHours.map((one) => (missing += one.due - one.arrived));
}
