/** Explanation of a delivery in the customer's words: by the codes of the engine's statements, never by its sentences. */
import { splitError } from "@/lib/words/errors";
import type { Statement } from "./api";
import type { Values, Words } from "./i18n";

/** Codes of advice for the sender; a customer has buttons instead. */
const ADVICE = new Set([
  "wait",
  "wait_for_turn",
  "resume",
  "change_before",
  "retry",
  "recover",
  "retry_or_recover",
  "send_anew",
  "create_endpoint",
]);
const TIMES = new Set(["at", "due_at", "until", "created_at"]);

/** Returns an error word as half a sentence. */
export function errorWords(error: string, words: Words, status?: number | null): string {
  if (status) return words.t("e_status", { status: String(status) });
  // An attempt has a word and a sentence, health has the word.
  const key = `e_${splitError(error).word || error}`;
  return words.t(words.has(key) ? key : "e_other");
}

/** Returns statements as sentences. A code that this version does not know is left out. */
export function sentencesOf(statements: Statement[], words: Words, now: Date): string[] {
  return statements
    .filter((statement) => !ADVICE.has(statement.code))
    .map((statement) => sentenceOf(statement, words, now))
    .filter((sentence): sentence is string => sentence !== null);
}

function sentenceOf(statement: Statement, words: Words, now: Date): string | null {
  const params = (statement.params ?? {}) as Record<string, unknown>;
  if (statement.code === "last_attempt_failed") {
    const status = params["response_status"];
    return typeof status === "number"
      ? words.t("w_failed_status", { status: String(status) })
      : words.t("w_failed", { error: errorWords(String(params["error"] ?? ""), words) });
  }
  const code =
    statement.code === "delivered" && params["at"] === undefined ? "delivered_plain" : statement.code;
  const key = `w_${code}`;
  return words.has(key) ? words.t(key, valuesOf(params, words, now)) : null;
}

function valuesOf(params: Record<string, unknown>, words: Words, now: Date): Values {
  const values: Values = {};
  for (const [name, value] of Object.entries(params)) {
    if (TIMES.has(name) && typeof value === "string") values[name] = timeWords(new Date(value), words, now);
    else if (typeof value === "number" || typeof value === "string") values[name] = value;
  }
  return values;
}

/** Returns a time: how long ago, or how long until. */
function timeWords(time: Date, words: Words, now: Date): string {
  const left = (time.getTime() - now.getTime()) / 1000;
  if (left <= 0) return words.ago(time, now);
  const relative = new Intl.RelativeTimeFormat(words.locale, { style: "long" });
  if (left < 60) return relative.format(Math.ceil(left), "second");
  if (left < 3600) return relative.format(Math.round(left / 60), "minute");
  if (left < 86_400) return relative.format(Math.round(left / 3600), "hour");
  return relative.format(Math.round(left / 86_400), "day");
}
