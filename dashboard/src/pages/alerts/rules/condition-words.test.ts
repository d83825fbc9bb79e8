import { expect, test } from "vitest";
import { conditionWords } from "./condition-words";

const plain = (text: string) => text.replaceAll("\u202f", " ");

test.each([
  [
    "failure_rate",
    { threshold: 0.1, window_minutes: 15, min_attempts: 10, per: "endpoint" },
    "At least 10 % of attempts fail within 15 min, per endpoint",
  ],
  [
    "failure_rate",
    { threshold: 0.005, window_minutes: 60, min_attempts: 10, per: "environment" },
    "At least 0.5 % of attempts fail within 1 h",
  ],
  [
    "latency",
    { threshold_ms: 2000, percentile_target: 95, window_minutes: 15, per: "application" },
    "p95 of the latency is 2.0 s or more within 15 min, per application",
  ],
  [
    "volume_drop",
    { threshold: 0.5, window_minutes: 60, min_messages: 20, per: "environment" },
    "At least 50 % fewer messages within 1 h than a day before",
  ],
  ["dlq", { threshold: 1, within_days: 7 }, "A delivery of the last 7 days is exhausted"],
  ["dlq", { threshold: 1200, within_days: 1 }, "At least 1,200 deliveries of today are exhausted"],
  [
    "backlog_age",
    { threshold_minutes: 30, per: "endpoint" },
    "The oldest pending delivery waits 30 min or longer, per endpoint",
  ],
  ["disk_forecast", { threshold_days: 1 }, "Storage is full within 1 day"],
  ["problem", { kinds: [], severity: "warning" }, "Any problem, warning or worse"],
  ["problem", { kinds: [], severity: "critical" }, "Any critical problem"],
  ["problem", { kinds: ["circuit_open"], severity: "notice" }, "Circuit open"],
  [
    "problem",
    { kinds: ["circuit_open", "disk_full", "quota"], severity: "warning" },
    "Circuit open, disk full or quota, warning or worse",
  ],
  ["issue_opened", {}, "issue opened"],
])("condition of %s in words", (type, config, words) => {
  expect(plain(conditionWords(type, config))).toBe(words);
});
