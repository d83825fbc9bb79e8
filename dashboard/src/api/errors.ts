/** Errors of the API, as every page shows them: a sentence, a stable code and the request id. */

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | null;
  readonly details: Record<string, unknown>;

  constructor(status: number, body: unknown) {
    const answer = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
    super(typeof answer["error"] === "string" ? answer["error"] : fallback(status));
    this.name = "ApiError";
    this.status = status;
    this.code = typeof answer["code"] === "string" ? answer["code"] : "no_answer";
    this.requestId = typeof answer["request_id"] === "string" ? answer["request_id"] : null;
    this.details = (answer["details"] ?? {}) as Record<string, unknown>;
  }
}

function fallback(status: number): string {
  return status === 0 ? "The server did not answer." : `The server answered ${status}.`;
}

/** Names of fields as a form labels them; the API names them in backticks. */
const FIELDS: Record<string, string> = {
  email: "This email address",
  name: "This name",
  password: "This password",
  code: "This code",
  url: "The URL",
  slug: "This slug",
  portal_theme: "The appearance",
  portal_frame_origins: "The list",
  portal_url: "The URL",
};

/** Returns the sentence of an error for people who read a page. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return "The request failed.";
  return error.message
    .replace(/^`(\w+)`/, (quoted, name: string) => FIELDS[name] ?? quoted)
    .replaceAll("`", "");
}

/** Returns the fields that an error names: the one of the request, then those that its sentence mentions. */
export function fieldsOf(error: unknown): string[] {
  if (!(error instanceof ApiError)) return [];
  const { field } = error.details;
  if (typeof field !== "string") return [];
  const inside = [...error.message.matchAll(/`([a-z_]+)`/g)].map((match) => match[1] ?? "");
  return [field, ...inside.filter((name) => name !== field)];
}

/** Returns the sentence of an error as it stands at its field: `Not six hexadecimal digits, such as 2f55e0.` */
export function sentenceAtField(error: unknown): string {
  const inside =
    error instanceof ApiError ? /^`\w+` has an? `\w+` that is (not .*)$/.exec(error.message) : null;
  const rest = inside?.[1]?.replaceAll("`", "");
  return rest === undefined ? sentenceOf(error) : rest.charAt(0).toUpperCase() + rest.slice(1);
}

/**
 * Returns the field of a form that an error is about, and the sentence as it stands there. The field is the innermost one:
 * `url` for `config.url`, `threshold` for a condition that "has `threshold`, which must be …".
 */
export function problemOfForm(error: unknown): { field: string; text: string } | null {
  if (!(error instanceof ApiError)) return null;
  const { field } = error.details;
  if (typeof field !== "string") return null;
  const inner = field === "rule_config" ? /^`\w+` has `(\w+)`, which (.*)$/s.exec(error.message) : null;
  const rest = inner?.[2] ?? error.message.replace(/^`[\w.]+` /, "");
  const text = rest.charAt(0).toUpperCase() + rest.slice(1).replaceAll("`", "");
  return { field: inner?.[1] ?? field.split(".").at(-1) ?? field, text };
}

/** Returns whether an error has this code. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof ApiError && error.code === code;
}

/** Returns whether an error has this status. */
export function hasStatus(error: unknown, status: number): boolean {
  return error instanceof ApiError && error.status === status;
}
