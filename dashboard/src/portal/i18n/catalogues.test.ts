import IntlMessageFormat from "intl-messageformat";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { LOCALES, loadCatalogue, localeOf, wordsOf } from ".";
import { en, type MessageKey } from "./en";

/** Names of a message's arguments. */
function argumentsOf(message: string, locale: string): string[] {
  const found = new Set<string>();
  const walk = (parts: unknown[]) => {
    for (const part of parts as {
      type: number;
      value: string;
      options?: Record<string, { value: unknown[] }>;
    }[]) {
      if (part.type > 0 && part.type < 7) found.add(part.value);
      for (const option of Object.values(part.options ?? {})) walk(option.value);
    }
  };
  walk(new IntlMessageFormat(message, locale).getAst());
  return [...found].sort();
}

describe.each(LOCALES)("catalogue %s", (locale) => {
  test("has the messages of English with the same arguments", async () => {
    const catalogue = await loadCatalogue(locale);
    expect(Object.keys(catalogue).sort()).toEqual(Object.keys(en).sort());
    for (const [key, message] of Object.entries(catalogue)) {
      expect(argumentsOf(message, locale), key).toEqual(argumentsOf(en[key as MessageKey], "en"));
    }
  });

  test("speaks numbers and plurals of its language", async () => {
    const words = wordsOf(locale, await loadCatalogue(locale));
    const texts = [0, 1, 1234].map((count) => words.t("recoverCount", { count }));
    expect(new Set(texts).size).toBe(3);
    expect(words.percent(99.999)).not.toBe(words.percent(100));
    expect(words.span(171)).toMatch(/2.*51/);
  });
});

test("every message is used", () => {
  const sources = readdirSync("src/portal", { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name) && !name.startsWith("i18n"))
    .map((name) => readFileSync(`src/portal/${name}`, "utf8"))
    .join("\n");
  // Messages of codes, fields and error words are found by their prefix.
  const unused = Object.keys(en).filter((key) => !/^[cefw]_/.test(key) && !sources.includes(`"${key}"`));
  expect(unused).toEqual([]);
});

test.each([
  ["?locale=de", ["en"], "de"],
  ["?locale=fr", ["es-MX", "en"], "es"],
  ["", ["fr", "ja-JP"], "ja"],
  ["", [], "en"],
])("language of %s with %s is %s", (search, preferred, expected) => {
  expect(localeOf(search, preferred)).toBe(expected);
});
