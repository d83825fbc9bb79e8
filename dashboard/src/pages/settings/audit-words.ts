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
};

/** Returns the name of what an entry is about, as far as the entry has one. */
export function subjectOf(entry: AuditEntry): string {
  const fields = { ...(entry.before ?? {}), ...(entry.after ?? {}) } as Record<string, unknown>;
  for (const name of ["name", "description", "email", "url"]) {
    if (typeof fields[name] === "string" && fields[name] !== "") return fields[name];
  }
  return entry.resource_type === "person" ? (entry.actor.name ?? "") : "";
}

/** Returns an entry as a short sentence: `Endpoint Haverbrook orders changed`. */
export function describeEntry(entry: AuditEntry): string {
  const [type = "", verb = ""] = entry.action.split(".");
  const noun = type === "api_key" ? "API key" : type.replaceAll("_", " ");
  const words = [
    noun.charAt(0).toUpperCase() + noun.slice(1),
    subjectOf(entry),
    VERBS[verb] ?? verb.replaceAll("_", " "),
  ];
  return words.filter((word) => word !== "").join(" ");
}
