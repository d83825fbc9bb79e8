/** Fields of the form of an alert rule, and what of them is sent. */
import type { AlertRule } from "@/api/alerts";
import type { Schemas } from "@/api/client";
import { listOf, objectOf } from "@/lib/json/json";
import { hasSubjects, labelOfType, NUMBERS, type Per, type RuleType, startOfPer } from "./rule-types";

/** Fields of the form, as its inputs hold them. */
export interface Fields {
  name: string;
  description: string;
  /** Numbers of the condition by their name; shares are in percent. */
  numbers: Record<string, number | string>;
  per: Per;
  /** What a rule is narrowed to; it cannot be changed later. */
  scope: Per;
  application_id: string | null;
  endpoint_id: string | null;
  kinds: string[];
  severity: string;
  channel_ids: string[];
  cooldown_minutes: number | string;
  isQuiet: boolean;
  quietFrom: string;
  quietTo: string;
  quietZone: string;
}

/** Returns the fields of a new rule of a type, which tells these channels. */
export function newFields(type: RuleType, channelIds: string[], timeZone: string): Fields {
  return {
    name: labelOfType(type),
    description: "",
    numbers: Object.fromEntries(NUMBERS[type].map((field) => [field.name, field.start])),
    per: startOfPer(type),
    scope: "environment",
    application_id: null,
    endpoint_id: null,
    kinds: [],
    severity: "warning",
    channel_ids: channelIds,
    cooldown_minutes: 60,
    isQuiet: false,
    quietFrom: "22:00",
    quietTo: "07:00",
    quietZone: timeZone,
  };
}

/** Returns the fields that a rule has. Channels that were deleted are left out: the server would refuse their ids. */
export function fieldsOf(rule: AlertRule, knownChannelIds: string[], timeZone: string): Fields {
  const type = rule.rule_type as RuleType;
  const config = objectOf(rule.rule_config);
  const quiet = (config["quiet_hours"] ?? null) as Record<string, string> | null;
  const start = newFields(type, [], timeZone);
  const numbers = NUMBERS[type].map(({ name, isShare, start }) => {
    const value = Number(config[name] ?? start);
    return [name, isShare && config[name] !== undefined ? rounded(value * 100) : value] as const;
  });
  return {
    ...start,
    name: rule.name,
    description: rule.description ?? "",
    numbers: Object.fromEntries(numbers),
    per: (config["per"] as Per | undefined) ?? "environment",
    scope: rule.endpoint_id ? "endpoint" : rule.application_id ? "application" : "environment",
    application_id: rule.application_id ?? null,
    endpoint_id: rule.endpoint_id ?? null,
    kinds: Array.isArray(config["kinds"]) ? config["kinds"].map(String) : [],
    severity: typeof config["severity"] === "string" ? config["severity"] : "warning",
    channel_ids: listOf(rule.channel_ids).filter((id) => knownChannelIds.includes(id)),
    cooldown_minutes: rule.cooldown_minutes,
    isQuiet: quiet !== null,
    quietFrom: quiet?.["from"] ?? start.quietFrom,
    quietTo: quiet?.["to"] ?? start.quietTo,
    quietZone: quiet?.["time_zone"] ?? timeZone,
  };
}

/** Returns `rule_config` of the fields. */
export function configOf(type: RuleType, fields: Fields): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const { name, isShare } of NUMBERS[type]) {
    const value = fields.numbers[name];
    if (value === undefined || value === "") continue;
    config[name] = isShare ? rounded(Number(value) / 100) : Number(value);
  }
  if (hasSubjects(type)) config["per"] = perWithin(fields);
  if (type === "problem") {
    config["kinds"] = fields.kinds;
    config["severity"] = fields.severity;
  }
  if (fields.isQuiet)
    config["quiet_hours"] = { from: fields.quietFrom, to: fields.quietTo, time_zone: fields.quietZone };
  return config;
}

/** Returns what is looked at one by one within the scope: one application has no applications, one endpoint no parts. */
export function perWithin({ scope, per }: Pick<Fields, "scope" | "per">): Per {
  if (scope === "endpoint" || (scope === "application" && per === "application")) return "environment";
  return per;
}

/** Returns the request that creates a rule. */
export function requestOf(type: RuleType, fields: Fields): Schemas["CreateAlertRule"] {
  const isNarrow = hasSubjects(type) && fields.scope !== "environment";
  return {
    ...sentOf(type, fields),
    rule_type: type,
    ...(isNarrow ? { application_id: fields.application_id } : {}),
    ...(isNarrow && fields.scope === "endpoint" ? { endpoint_id: fields.endpoint_id } : {}),
  };
}

/** Returns the parts of a rule that differ from what it has. The condition is sent as a whole. */
export function changesOf(type: RuleType, now: Fields, before: Fields): Schemas["UpdateAlertRule"] {
  const was = sentOf(type, before) as Record<string, unknown>;
  const changed = Object.entries(sentOf(type, now)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(was[name]),
  );
  return Object.fromEntries(changed);
}

/** Returns what the form lacks, or null if it can be sent. */
export function lackOf(type: RuleType, fields: Fields): string | null {
  if (NUMBERS[type].some(({ name }) => fields.numbers[name] === "")) return "Fill in every number.";
  if (!hasSubjects(type) || fields.scope === "environment") return null;
  if (fields.application_id === null) return "Choose an application.";
  return fields.scope === "endpoint" && fields.endpoint_id === null ? "Choose an endpoint." : null;
}

function sentOf(type: RuleType, fields: Fields) {
  return {
    name: fields.name.trim(),
    description: fields.description.trim() || null,
    rule_config: configOf(type, fields),
    channel_ids: fields.channel_ids,
    cooldown_minutes: Number(fields.cooldown_minutes || 0),
  };
}

/** Without the noise of floating point: 0.07 · 100 is 7. */
function rounded(value: number): number {
  return Number(value.toFixed(6));
}
