import { expect, test } from "vitest";
import type { AlertRule } from "@/api/alerts";
import { changesOf, fieldsOf, lackOf, newFields, requestOf } from "./rule-fields";

const RULE: AlertRule = {
  id: "r",
  org_id: "o",
  env_id: "e",
  name: "Failures of any endpoint",
  description: null,
  enabled: 1,
  rule_type: "failure_rate",
  rule_config: JSON.stringify({
    threshold: 0.07,
    window_minutes: 15,
    min_attempts: 10,
    per: "endpoint",
    quiet_hours: { from: "20:00", to: "06:30", time_zone: "Asia/Tokyo" },
  }),
  application_id: null,
  endpoint_id: null,
  channel_ids: JSON.stringify(["c1", "gone"]),
  cooldown_minutes: 60,
  trigger_count: 0,
  created_at: "2026-11-29T14:10:00.000Z",
  updated_at: "2026-11-29T14:10:00.000Z",
};

test("a new rule has the defaults of its type", () => {
  expect(requestOf("failure_rate", newFields("failure_rate", ["c1"], "Europe/Berlin"))).toEqual({
    name: "Failure rate",
    description: null,
    rule_type: "failure_rate",
    rule_config: { threshold: 0.1, window_minutes: 15, min_attempts: 10, per: "endpoint" },
    channel_ids: ["c1"],
    cooldown_minutes: 60,
  });
  expect(requestOf("problem", newFields("problem", [], "UTC")).rule_config).toEqual({
    kinds: [],
    severity: "warning",
  });
  expect(requestOf("dlq", newFields("dlq", [], "UTC")).rule_config).toEqual({ threshold: 1, within_days: 7 });
});

test("a rule is narrowed to an application or an endpoint", () => {
  const fields = newFields("latency", [], "UTC");
  const narrow = { ...fields, scope: "endpoint" as const, application_id: "a", endpoint_id: "p" };
  expect(requestOf("latency", narrow)).toMatchObject({
    application_id: "a",
    endpoint_id: "p",
    rule_config: { per: "environment" },
  });
  const ofApplication = requestOf("latency", { ...narrow, scope: "application" });
  expect(ofApplication).toMatchObject({ application_id: "a", rule_config: { per: "endpoint" } });
  expect(ofApplication).not.toHaveProperty("endpoint_id");
  expect(requestOf("problem", { ...narrow })).not.toHaveProperty("application_id");
});

test("a form lacks the application or endpoint that it is narrowed to", () => {
  const fields = newFields("latency", [], "UTC");
  expect(lackOf("latency", fields)).toBeNull();
  expect(lackOf("latency", { ...fields, scope: "application" })).toBe("Choose an application.");
  expect(lackOf("latency", { ...fields, scope: "endpoint", application_id: "a" })).toBe(
    "Choose an endpoint.",
  );
  expect(lackOf("latency", { ...fields, numbers: { ...fields.numbers, threshold_ms: "" } })).toBe(
    "Fill in every number.",
  );
});

test("a rule fills the form, without channels that were deleted", () => {
  const fields = fieldsOf(RULE, ["c1"], "UTC");
  expect(fields).toMatchObject({
    numbers: { threshold: 7, window_minutes: 15, min_attempts: 10 },
    per: "endpoint",
    channel_ids: ["c1"],
    isQuiet: true,
    quietFrom: "20:00",
    quietTo: "06:30",
    quietZone: "Asia/Tokyo",
  });
  expect(changesOf("failure_rate", fields, fields)).toEqual({});
});

test("only changed parts are sent, the condition as a whole", () => {
  const before = fieldsOf(RULE, ["c1"], "UTC");
  const now = {
    ...before,
    numbers: { ...before.numbers, threshold: 20 },
    isQuiet: false,
    description: "On call",
  };
  expect(changesOf("failure_rate", now, before)).toEqual({
    description: "On call",
    rule_config: { threshold: 0.2, window_minutes: 15, min_attempts: 10, per: "endpoint" },
  });
  expect(changesOf("failure_rate", { ...before, channel_ids: [] }, before)).toEqual({ channel_ids: [] });
});
