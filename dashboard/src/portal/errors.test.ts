import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ApiError } from "@/api/errors";
import { errorSentence } from "./errors";
import { loadCatalogue, LOCALES, wordsOf } from "./i18n";

/** Codes of the API that no operation of the portal answers: accounts, organizations, views and jobs of the sender, the live stream. */
const ELSEWHERE = `
  access_denied authorization_pending expired_token slow_down second_factor_required wrong_credentials
  address_not_verified cross_origin forbidden no_organization not_invited organization_key_needed
  organizations_not_allowed other_domain other_environment owner_needed person_needed no_billing connect_first
  duplicate_event_id identity_taken is_member job_ended last_environment last_owner name_taken
  no_second_factor not_connected not_deleted second_factor_exists sign_in_first slug_taken
  too_many_subscriptions uid_taken link_over sign_in_over websocket_needed too_many_attempts too_many_streams
  provider_failed not_view_owner too_many_views too_many_alert_rules too_many_channels backup_running no_backup_dir draining
`
  .trim()
  .split(/\s+/);

const source = readFileSync("../crates/hookstream-api/src/http/error/code.rs", "utf8");
const CODES = [...new Set([...source.matchAll(/^ {8}\w+ => "(\w+)",$/gm)].map((match) => match[1] ?? ""))];

const refusal = (code: string, error: string, details: object = {}) =>
  new ApiError(400, { code, error, details, request_id: "req_1" });

test("the codes of the API are known", () => {
  expect(CODES.length).toBeGreaterThan(60);
  expect(ELSEWHERE.filter((code) => !CODES.includes(code))).toEqual([]);
});

describe.each(LOCALES)("errors in %s", (locale) => {
  test("every code that the portal answers has a message", async () => {
    const words = wordsOf(locale, await loadCatalogue(locale));
    const missing = CODES.filter((code) => !ELSEWHERE.includes(code) && !words.has(`c_${code}`));
    expect(missing).toEqual([]);
    expect(ELSEWHERE.filter((code) => words.has(`c_${code}`))).toEqual([]);
    expect(errorSentence(new Error("Failed to fetch"), words)).toBe(words.t("c_no_answer"));
    expect(errorSentence(refusal("busy", "Too many large requests."), words)).toBe(words.t("c_busy"));
    expect(errorSentence(refusal("of_a_later_version", "`x` is odd."), words)).toBe("x is odd.");
    const limited = errorSentence(refusal("quota_reached", "…", { limit: 50 }), words);
    expect(limited).toContain("50");
    expect(errorSentence(refusal("quota_reached", "…"), words)).not.toMatch(/\d/);
  });
});

test("a refused value says in the reader's language what it is, and in English what is wrong with it", async () => {
  const error = refusal("invalid_field", "`url` must start with https:// or http://.", { field: "url" });
  const [en, de] = await Promise.all(
    (["en", "de"] as const).map(async (locale) => wordsOf(locale, await loadCatalogue(locale))),
  );
  expect(en && errorSentence(error, en)).toBe("The URL must start with https:// or http://.");
  expect(de && errorSentence(error, de)).toBe(
    "Diese URL lässt sich nicht verwenden. (The URL must start with https:// or http://.)",
  );
  const other = refusal("invalid_field", "`since` is in the future.", { field: "since" });
  expect(de && errorSentence(other, de)).toBe("Ein Wert ist nicht erlaubt. (since is in the future.)");
});
