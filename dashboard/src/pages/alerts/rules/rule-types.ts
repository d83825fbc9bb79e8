/** Types of alert rules: their names, when they fire, and the fields of their condition with their defaults. */
import {
  IconAlertTriangle,
  IconCircleX,
  IconClockExclamation,
  IconDatabase,
  IconGauge,
  IconListDetails,
  IconTrendingDown,
} from "@tabler/icons-react";
import type { Choice } from "../TypeChoice";

export type RuleType =
  "problem" | "failure_rate" | "latency" | "volume_drop" | "dlq" | "backlog_age" | "disk_forecast";

/** What a rule looks at one by one. */
export type Per = "environment" | "application" | "endpoint";

/** Types, the one to begin with first. */
export const RULE_TYPES: (Choice & { value: RuleType })[] = [
  {
    value: "problem",
    label: "Problems",
    text: "An endpoint is down, a backlog grows, a quota or the disk runs out. A good first rule.",
    icon: IconAlertTriangle,
  },
  {
    value: "failure_rate",
    label: "Failure rate",
    text: "A share of the attempts fails.",
    icon: IconCircleX,
  },
  {
    value: "latency",
    label: "Latency",
    text: "Receivers are slow: a percentile of the attempts' latency reaches a limit.",
    icon: IconGauge,
  },
  {
    value: "volume_drop",
    label: "Volume drop",
    text: "Fewer messages come than in the same window a day before.",
    icon: IconTrendingDown,
  },
  {
    value: "dlq",
    label: "Exhausted deliveries",
    text: "Deliveries used up all their retries and were not recovered.",
    icon: IconListDetails,
  },
  {
    value: "backlog_age",
    label: "Backlog age",
    text: "The oldest pending delivery waits too long.",
    icon: IconClockExclamation,
  },
  {
    value: "disk_forecast",
    label: "Storage forecast",
    text: "The storage budget of the environment, or the disk, is full soon.",
    icon: IconDatabase,
  },
];

/** Returns the name of a type; the word of the API for one that is not known. */
export function labelOfType(type: string): string {
  return RULE_TYPES.find((one) => one.value === type)?.label ?? type.replaceAll("_", " ");
}

/** Number of a condition, as its input shows it. */
export interface NumberField {
  /** Name in `rule_config`. */
  name: string;
  label: string;
  description?: string;
  start: number;
  min: number;
  max: number;
  step?: number;
  prefix?: string;
  suffix?: string;
  /** True for a share, which the input shows in percent. */
  isShare?: boolean;
}

const NUMBER_MAX = 1_000_000_000;

const window = (start: number): NumberField => ({
  name: "window_minutes",
  label: "Within",
  start,
  min: 1,
  max: 1440,
  suffix: " min",
});
const MIN_ATTEMPTS: NumberField = {
  name: "min_attempts",
  label: "Attempts, at least",
  description: "With fewer, the rule does not fire.",
  start: 10,
  min: 1,
  max: NUMBER_MAX,
};

/** Numbers of each type, in the order of the form. */
export const NUMBERS: Record<RuleType, NumberField[]> = {
  problem: [],
  failure_rate: [
    {
      name: "threshold",
      label: "Failed attempts, at least",
      start: 10,
      min: 0.01,
      max: 100,
      suffix: " %",
      isShare: true,
    },
    window(15),
    MIN_ATTEMPTS,
  ],
  latency: [
    {
      name: "threshold_ms",
      label: "Latency, at least",
      start: 2000,
      min: 1,
      max: 600_000,
      step: 500,
      suffix: " ms",
    },
    { name: "percentile_target", label: "Percentile", start: 95, min: 1, max: 99.9, prefix: "p" },
    window(15),
    MIN_ATTEMPTS,
  ],
  volume_drop: [
    {
      name: "threshold",
      label: "Fewer messages, at least",
      start: 50,
      min: 0.01,
      max: 100,
      suffix: " %",
      isShare: true,
    },
    window(60),
    {
      name: "min_messages",
      label: "Messages a day before, at least",
      description: "With fewer, the rule does not fire.",
      start: 20,
      min: 1,
      max: NUMBER_MAX,
    },
  ],
  dlq: [
    { name: "threshold", label: "Exhausted deliveries, at least", start: 1, min: 1, max: NUMBER_MAX },
    { name: "within_days", label: "Of the last", start: 7, min: 1, max: 365, suffix: " days" },
  ],
  backlog_age: [
    {
      name: "threshold_minutes",
      label: "Age of the oldest delivery, at least",
      start: 30,
      min: 1,
      max: 43_200,
      step: 5,
      suffix: " min",
    },
  ],
  disk_forecast: [
    { name: "threshold_days", label: "Full within", start: 7, min: 1, max: 365, suffix: " days" },
  ],
};

/** Returns whether a rule of this type may look at one application or endpoint. */
export function hasSubjects(type: RuleType): boolean {
  return ["failure_rate", "latency", "volume_drop", "backlog_age"].includes(type);
}

/** Returns what a new rule of this type looks at one by one. */
export function startOfPer(type: RuleType): Per {
  return type === "volume_drop" || !hasSubjects(type) ? "environment" : "endpoint";
}

/** Kinds of problems, in words. */
export const PROBLEM_KINDS: { value: string; label: string }[] = [
  { value: "endpoint_disabled", label: "Endpoint disabled" },
  { value: "circuit_open", label: "Circuit open" },
  { value: "endpoint_failing", label: "Endpoint failing" },
  { value: "backlog_growing", label: "Backlog growing" },
  { value: "deliveries_missed", label: "Deliveries missed" },
  { value: "storage_budget", label: "Storage budget" },
  { value: "quota", label: "Quota" },
  { value: "disk_full", label: "Disk full" },
  { value: "node_lapsed", label: "Node lapsed" },
];
