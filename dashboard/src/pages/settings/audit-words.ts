/** Audit entries in words. */
import type { AuditEntry } from "@/api/audit";

const VERBS: Record<string, string> = {
  create: "created",
  update: "changed",
  delete: "deleted",
  restore: "restored",
  disable: "disabled",
  enable: "enabled",
  revoke: "revoked",
  rotate: "rotated",
  rotate_secret: "secret rotated",
  reveal_secret: "secret revealed",
  reset_circuit: "circuit reset",
  sign_in: "signed in",
  sign_out: "signed out",
  retry: "sent again",
  test: "tested",
  recover: "recover started",
  replay: "replay started",
  cancel: "cancelled",
  accept: "accepted",
  make_owner: "made an owner",
  give_portal_access: "portal access created",
};

/** Fields as a page names them, where their name in the API says it less well. */
const FIELDS: Record<string, string> = {
  rate_limit_per_second: "rate limit",
  url: "URL",
  filter_types: "event types",
  json_schema: "schema",
  timeout_ms: "timeout",
};

/** Fields that change with every change, and say nothing. */
const SILENT = ["updated_at", "version"];
const LONGEST_VALUE = 24;

/** Returns the name of what an entry is about, as far as the entry has one. */
export function subjectOf(entry: AuditEntry): string {
  const fields = { ...(entry.before ?? {}), ...(entry.after ?? {}) } as Record<string, unknown>;
  // The new description of an update is no name yet: it is what changed.
  const names = entry.action.endsWith(".update")
    ? ["name", "email"]
    : ["name", "description", "email", "url"];
  for (const name of names) {
    if (typeof fields[name] === "string" && fields[name] !== "") return fields[name];
  }
  return entry.resource_type === "person" ? (entry.actor.name ?? "") : "";
}

/** Returns what kind of thing an entry is about: `Endpoint`. */
export function nounOf(entry: AuditEntry): string {
  const [type = ""] = entry.action.split(".");
  const noun = type === "api_key" ? "API key" : type.replaceAll("_", " ");
  return noun.charAt(0).toUpperCase() + noun.slice(1);
}

/** Returns what happened: `created`, `rate limit 40 to 4`, `URL and timeout changed`. */
export function changeOf(entry: AuditEntry): string {
  const [, verb = ""] = entry.action.split(".");
  const done = VERBS[verb] ?? verb.replaceAll("_", " ");
  if (verb !== "update") return done;
  const [before, after] = [entry.before ?? {}, entry.after ?? {}] as Record<string, unknown>[];
  const names = Object.keys({ ...before, ...after }).filter((name) => !SILENT.includes(name));
  const words = names.map((name) => FIELDS[name] ?? name.replaceAll("_", " "));
  const [only] = names;
  if (only === undefined) return done;
  if (only === "name") return "renamed";
  if (names.length > 1)
    return names.length > 3 ? `${words.length} settings changed` : `${words.join(", ")} changed`;
  const [was, is] = [shown(before?.[only]), shown(after?.[only])];
  if (was === null || is === null) return `${words[0] ?? ""} changed`;
  return `${words[0] ?? ""} ${was} to ${is}`;
}

/** Returns a value that is short enough to read in a sentence, or null. */
function shown(value: unknown): string | null {
  if (value === null || value === undefined || value === "") return "none";
  if (typeof value === "object") return null;
  const text = String(value);
  return text.length > LONGEST_VALUE ? null : text;
}

/** Returns an entry as a short sentence: `Endpoint Haverbrook orders changed`. */
export function describeEntry(entry: AuditEntry): string {
  return [nounOf(entry), subjectOf(entry), changeOf(entry)].filter((word) => word !== "").join(" ");
}
