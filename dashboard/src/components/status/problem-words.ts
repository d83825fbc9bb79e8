/** Problems in words and states: the same on Overview, in the list of endpoints and on an endpoint's page. */
import {
  IconAlertTriangle,
  IconCircleXFilled,
  IconClock,
  IconDatabaseOff,
  IconPlugConnectedX,
  IconPower,
  IconRotateClockwise,
  IconServerOff,
} from "@tabler/icons-react";
import type { Problem } from "@/api/problems";
import { shortUrl } from "@/lib/words/ids";
import { count } from "@/lib/words/numbers";
import { exactUtc } from "@/lib/words/times";
import type { State } from "./states";

const SOON: State = { word: "Soon", tone: "idle", icon: IconClock };
const REACHED: State = { word: "Used up", tone: "bad", icon: IconDatabaseOff };

const STATES: Record<string, State> = {
  endpoint_disabled: { word: "Disabled", tone: "idle", icon: IconPower },
  circuit_open: { word: "Circuit open", tone: "bad", icon: IconPlugConnectedX },
  endpoint_failing: { word: "Failing", tone: "bad", icon: IconAlertTriangle },
  backlog_growing: { word: "Slow", tone: "careful", icon: IconRotateClockwise },
  deliveries_missed: { word: "Missed some", tone: "bad", icon: IconCircleXFilled },
  disk_full: { word: "Disk full", tone: "bad", icon: IconDatabaseOff },
  node_lapsed: { word: "Node lapsed", tone: "bad", icon: IconServerOff },
};

/** Returns the state of a problem, as a badge shows it. */
export function problemState(problem: Pick<Problem, "kind" | "severity">): State {
  const found = STATES[problem.kind];
  if (found) return found;
  return problem.severity === "notice" ? SOON : REACHED;
}

/** Returns whether the deliveries of a problem ended without arriving, rather than wait. */
export function isMissed(problem: Pick<Problem, "kind">): boolean {
  return problem.kind === "deliveries_missed" || problem.kind === "endpoint_disabled";
}

/** Returns what waits or was missed: `12,481 waiting`; empty for a problem that is not about deliveries. */
export function waitingWords(problem: Problem): string {
  if (problem.subject.kind !== "endpoint") return "";
  return `${count(problem.waiting)} ${isMissed(problem) ? "missed" : "waiting"}`;
}

/** Returns who a problem is about: the customer of an endpoint, or the part of the installation. */
export function subjectWords(problem: Problem): { name: string; detail: string } {
  const { subject } = problem;
  if (subject.kind === "endpoint")
    return { name: subject.application_name ?? "", detail: subject.name ? shortUrl(subject.name) : "" };
  if (problem.kind === "storage_budget")
    return { name: "Storage", detail: "payload budget of the environment" };
  if (problem.kind === "quota") return { name: "Quota", detail: "messages of this month" };
  if (subject.kind === "node") return { name: `Node ${subject.name ?? subject.id ?? ""}`, detail: "" };
  return { name: "Installation", detail: "" };
}

/** Returns a note about a problem that can be sent to the customer. */
export function noteForCustomer(problem: Problem): string {
  const lines = [
    `Webhooks to ${problem.subject.name ?? "your endpoint"} do not arrive.`,
    problem.cause.sentence,
  ];
  if (problem.since) lines.push(`Since: ${exactUtc(new Date(problem.since))}.`);
  if (problem.waiting > 0)
    lines.push(`Waiting: ${count(problem.waiting)}. They are kept and are sent once the receiver answers.`);
  if (problem.disables_at)
    lines.push(`If nothing changes, sending stops at ${exactUtc(new Date(problem.disables_at))}.`);
  return lines.join("\n");
}
