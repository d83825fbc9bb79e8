import { expect, test } from "vitest";
import type { Alert, AlertRule } from "@/api/alerts";
import { isQuiet, tellingOf, worstOf } from "./alert-words";

const NOW = new Date("2026-11-29T14:10:00.000Z");

const ALERT: Alert = {
  id: "a",
  org_id: "o",
  env_id: "e",
  rule_id: "r",
  state: "firing",
  severity: "warning",
  subject: "https://example.com/webhooks",
  summary: "12 of 40 attempts failed in the last 15 min (30 %; threshold 10 %).",
  fired_at: "2026-11-29T14:00:00.000Z",
  notified_at: null,
};
const RULE: AlertRule = {
  id: "r",
  org_id: "o",
  env_id: "e",
  name: "Failures",
  enabled: 1,
  rule_type: "failure_rate",
  rule_config: "{}",
  channel_ids: '["c"]',
  cooldown_minutes: 60,
  trigger_count: 1,
  last_triggered_at: null,
  created_at: "2026-11-29T12:00:00.000Z",
  updated_at: "2026-11-29T12:00:00.000Z",
};
const QUIET = { from: "22:00", to: "07:00", time_zone: "Asia/Tokyo" };

test("the worst severity wins", () => {
  expect(worstOf([{ severity: "notice" }, { severity: "critical" }, { severity: "warning" }])).toBe(
    "critical",
  );
  expect(worstOf([])).toBe("notice");
});

test("an alert that was told says when", () => {
  const told = { ...ALERT, notified_at: "2026-11-29T14:00:01.000Z" };
  expect(tellingOf(told, RULE, NOW)).toEqual({ kind: "told", at: "2026-11-29T14:00:01.000Z" });
});

test("an alert is held back by the cooldown and by quiet hours", () => {
  const cooling = { ...RULE, last_triggered_at: "2026-11-29T13:30:00.000Z" };
  expect(tellingOf(ALERT, cooling, NOW)).toEqual({ kind: "held", until: "14:30", why: "cooldown" });
  expect(tellingOf(ALERT, { ...cooling, cooldown_minutes: 30 }, NOW)).toEqual({ kind: "soon" });
  const quiet = { ...cooling, rule_config: JSON.stringify({ quiet_hours: QUIET }) };
  expect(tellingOf(ALERT, quiet, NOW)).toEqual({
    kind: "held",
    until: "07:00",
    why: "quiet hours, Asia/Tokyo",
  });
});

test("a rule without channels tells nobody", () => {
  expect(tellingOf(ALERT, { ...RULE, channel_ids: "[]" }, NOW)).toEqual({ kind: "no_channel" });
});

test.each([
  [QUIET, true],
  [{ ...QUIET, from: "23:30" }, false],
  [{ ...QUIET, time_zone: "UTC" }, false],
  [{ from: "14:00", to: "15:00", time_zone: "UTC" }, true],
  [{ from: "14:00", to: "14:10", time_zone: "UTC" }, false],
  [{ ...QUIET, time_zone: "Nowhere/None" }, false],
])("14:10 UTC within the quiet hours %j: %s", (quiet, expected) => {
  expect(isQuiet(quiet, NOW)).toBe(expected);
});
