/** Subject of an operational message, from its payload. */
import { shortId } from "@/lib/words/ids";

/** Returns what an event is about: an application, a job, a quota, a node; empty if the payload does not say. */
export function aboutOf(payload: string | null | undefined): string {
  const data = dataOf(payload);
  const text = (name: string) => (typeof data[name] === "string" ? data[name] : "");
  if (text("kind") !== "") return `${text("kind")} ${text("status")}`.trim();
  if (text("quota") !== "") return text("quota").replaceAll("_", " ");
  if (text("node") !== "") return text("name") || text("node");
  if (text("application_uid") !== "") return text("application_uid");
  return text("application_id") === "" ? "" : shortId(text("application_id"));
}

function dataOf(payload: string | null | undefined): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(payload ?? "");
    if (typeof body !== "object" || body === null || !("data" in body)) return {};
    return typeof body.data === "object" && body.data !== null ? { ...body.data } : {};
  } catch {
    return {};
  }
}
