/** Alerts in words: the worst severity, how long one lasted, and why one was not told yet. */
import type { Alert, AlertRule } from "@/api/alerts";
import { listOf, objectOf } from "@/lib/json/json";
import { calendar } from "@/lib/words/times";

const SEVERITIES = ["critical", "warning", "notice"];

/** Returns the worst severity of alerts. */
export function worstOf(alerts: Pick<Alert, "severity">[]): string {
  return SEVERITIES.find((severity) => alerts.some((alert) => alert.severity === severity)) ?? "notice";
}

/** Notification of an alert: sent, on its way, or held back until a time. */
export type Telling =
  | { kind: "told"; at: string }
  | { kind: "soon" }
  | { kind: "no_channel" }
  | { kind: "held"; until: string; why: string };

/** Returns what became of the notification of an alert that fires. */
export function tellingOf(alert: Alert, rule: AlertRule | undefined, now: Date): Telling {
  if (rule && listOf(rule.channel_ids).length === 0) return { kind: "no_channel" };
  if (alert.notified_at) return { kind: "told", at: alert.notified_at };
  if (rule === undefined) return { kind: "soon" };
  const quiet = objectOf(rule.rule_config)["quiet_hours"] as QuietHours | null | undefined;
  if (quiet && isQuiet(quiet, now))
    return { kind: "held", until: quiet.to, why: `quiet hours, ${quiet.time_zone}` };
  const end = cooldownEnd(rule);
  if (end !== null && end > now) return { kind: "held", until: calendar(end, now), why: "cooldown" };
  return { kind: "soon" };
}

export interface QuietHours {
  from: string;
  to: string;
  time_zone: string;
}

/** Returns whether a time is within quiet hours, which may pass midnight. */
export function isQuiet({ from, to, time_zone: timeZone }: QuietHours, now: Date): boolean {
  const time = timeIn(timeZone, now);
  if (time === null) return false;
  return from < to ? from <= time && time < to : time >= from || time < to;
}

/** Returns the time of day in a time zone as `HH:MM`, or null for a zone that the browser does not know. */
function timeIn(timeZone: string, now: Date): string | null {
  try {
    const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone } as const;
    return new Intl.DateTimeFormat("en-GB", options).format(now);
  } catch {
    return null;
  }
}

function cooldownEnd(rule: AlertRule): Date | null {
  if (!rule.last_triggered_at) return null;
  return new Date(Date.parse(rule.last_triggered_at) + rule.cooldown_minutes * 60_000);
}
