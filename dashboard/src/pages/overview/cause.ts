/** Cause of a problem with what the endpoint's health adds. */
import type { EndpointHealth } from "@/api/endpoints";
import type { Problem } from "@/api/problems";
import { perSecond } from "@/lib/words/numbers";

/** Returns sentences that follow the cause: `10/s arrive, 4/s leave.` */
export function moreOfCause(problem: Problem, health: EndpointHealth | undefined): string {
  if (health === undefined) return "";
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
