/** Errors of the API in the reader's language: by code, and for a value by its field. The sentences of the API are English. */
import { ApiError, sentenceOf } from "@/api/errors";
import type { Words } from "./i18n";

/** Returns an error as a sentence. A code that this version does not know keeps the sentence of the API. */
export function errorSentence(error: unknown, words: Words): string {
  // Without an answer, the message is that of the browser.
  if (!(error instanceof ApiError)) return words.t("c_no_answer");
  const { limit } = error.details;
  const values = { limit: typeof limit === "number" ? limit : 0 };
  const of = (key: string) => (words.has(key) ? words.t(key, values) : null);
  if (error.code !== "invalid_field") return of(`c_${error.code}`) ?? sentenceOf(error);
  const { field } = error.details;
  const general = of(`c_invalid_field_${String(field).split(/[.[]/)[0] ?? ""}`) ?? words.t("c_invalid_field");
  // What is wrong with the value is said by the API only.
  return words.locale === "en" ? sentenceOf(error) : `${general} (${sentenceOf(error)})`;
}
