/** Title of the Overview: the answer to whether anything is wrong. */
import type { Problem, ProblemList } from "@/api/problems";
import { span } from "@/lib/words/durations";
import { count, counted } from "@/lib/words/numbers";

/** Returns how many endpoints need a person. */
export function endpointsInNeed(problems: Problem[]): number {
  return problems.filter((one) => one.subject.kind === "endpoint").length;
}

/** Returns the title and the sentence beside it. `oldestS` is for how long the oldest queued delivery waits. */
export function titleOf(list: ProblemList, oldestS: number | null): { title: string; aside: string } {
  const inNeed = endpointsInNeed(list.problems);
  const total = list.endpoints;
  if (inNeed > 0) {
    const number = list.is_partial ? `${count(inNeed)}+ endpoints` : counted(inNeed, "endpoint");
    const rest = list.is_partial
      ? ""
      : `${count(total - inNeed)} of ${counted(total, "endpoint")} deliver normally.`;
    return { title: `${number} ${inNeed === 1 ? "needs" : "need"} you`, aside: rest };
  }
  const waits =
    oldestS === null ? "Nothing waits." : `Nothing waits longer than ${span(Math.max(1, oldestS))}.`;
  if (list.problems.length > 0)
    return { title: `${counted(list.problems.length, "problem")} outside of the endpoints`, aside: waits };
  if (total === 0) return { title: "No endpoint yet", aside: "" };
  const title = total === 1 ? "The endpoint delivers" : `All ${count(total)} endpoints deliver`;
  return { title, aside: waits };
}
