import { describe, expect, test } from "vitest";
import { curlOfMessage, quoted } from "./json/curl";
import { diffOf } from "./json/diff";
import { duration, span } from "./words/durations";
import { splitError } from "./words/errors";
import { parseId, shortId, shortUrl } from "./words/ids";
import { bytes, count, counted, percent, perSecond } from "./words/numbers";
import { may } from "./permissions";
import { exampleOf, fieldsOf } from "./json/schema-example";
import { ago, calendar, exact, timeOfDay, until } from "./words/times";

/** Narrow spaces read as plain ones here. */
const plain = (text: string) => text.replaceAll("\u202f", " ");
const at = (text: string) => new Date(text);

describe("numbers", () => {
  test.each([
    [count(1_842_906), "1,842,906"],
    [counted(1, "endpoint"), "1 endpoint"],
    [counted(1038, "endpoint"), "1,038 endpoints"],
    [percent(9871, 10_000), "98.71 %"],
    [percent(999_999, 1_000_000), "99.99 %"],
    [percent(7, 7), "100 %"],
    [percent(0, 0), ""],
    [bytes(231), "231 bytes"],
    [bytes(86_016), "84.0 KiB"],
    [bytes(75.2 * 1024 ** 3), "75.2 GiB"],
    [perSecond(4.13), "4.1/s"],
    [perSecond(249.4), "249/s"],
  ])("%s", (text, expected) => expect(plain(text)).toBe(expected));
});

describe("durations", () => {
  test.each([
    [0.38, "380 µs"],
    [5.1, "5.1 ms"],
    [388.4, "388 ms"],
    [1440, "1.4 s"],
    [20_000, "20 s"],
    [208_000, "3 min 28 s"],
  ])("%s ms", (ms, expected) => expect(plain(duration(ms))).toBe(expected));

  test.each([
    [41, "41 s"],
    [126, "2 min 06 s"],
    [6900, "1 h 55 min"],
    [86_400, "1 d"],
    [270_000, "3 d 3 h"],
    [-4, "0 s"],
  ])("%s s", (seconds, expected) => expect(plain(span(seconds))).toBe(expected));
});

describe("times", () => {
  const now = at("2026-11-26T14:32:06.000Z");
  test.each([
    ["2026-11-26T14:32:05.600Z", "now"],
    ["2026-11-26T14:31:52.000Z", "14 s ago"],
    ["2026-11-26T13:44:12.104Z", "47 min ago"],
    ["2026-11-26T12:00:00.000Z", "2 h 32 min ago"],
    ["2026-11-26T04:12:00.000Z", "10 h ago"],
    ["2026-11-25T14:00:00.000Z", "yesterday, 14:00"],
    ["2026-11-12T17:02:00.000Z", "12 Nov, 17:02"],
    ["2025-11-12T17:02:00.000Z", "12 Nov 2025, 17:02"],
  ])("%s", (time, expected) => expect(plain(ago(at(time), now))).toBe(expected));

  test("a countdown ends as due now", () => {
    expect(plain(until(at("2026-11-26T14:32:46.200Z"), now))).toBe("in 41 s");
    expect(until(at("2026-11-26T14:32:00Z"), now)).toBe("due now");
  });

  test("times of today have no date", () => {
    expect(calendar(at("2026-11-26T16:27:15Z"), now)).toBe("16:27");
    expect(calendar(at("2026-11-27T16:27:15Z"), now)).toBe("tomorrow, 16:27");
    expect(timeOfDay(at("2026-11-26T13:44:12.104Z"), true)).toBe("13:44:12.104");
    expect(exact(at("2026-11-26T13:44:12.104Z"))).toBe("26 Nov 2026, 13:44:12.104 UTC");
  });
});

describe("ids", () => {
  test("an id is shown by its beginning and its end", () => {
    expect(shortId("01a2181977e071d2b8e29f03c41d7f3a")).toBe("01a218…c41d7f3a");
    expect(shortId("acme")).toBe("acme");
  });
  test("a pasted id may have a prefix and spaces", () => {
    expect(parseId(" msg_01A2181977E071D2B8E29F03C41D7F3A ")).toBe("01a2181977e071d2b8e29f03c41d7f3a");
    expect(parseId("invoice.paid")).toBeNull();
  });
  test("an address loses its scheme", () =>
    expect(shortUrl("https://hooks.example.com/v2/")).toBe("hooks.example.com/v2"));
});

test("an attempt's error has a word and a sentence", () => {
  expect(splitError("timeout: no answer within 20 s")).toEqual({
    word: "timeout",
    sentence: "no answer within 20 s",
  });
  expect(splitError("broken")).toEqual({ word: "", sentence: "broken" });
});

test("a role may do what its rank allows", () => {
  expect(may("viewer", "messages:write")).toBe(false);
  expect(may("developer", "messages:write")).toBe(true);
  expect(may("viewer", "alerts:write")).toBe(false);
  expect(may("developer", "alerts:write")).toBe(true);
  expect(may("developer", "endpoints:secret")).toBe(false);
  expect(may("admin", "audit:read")).toBe(true);
  expect(may("admin", "organization:delete")).toBe(false);
  expect(may(null, "messages:write")).toBe(false);
});

test("a difference lists removed and added fields", () => {
  expect(diffOf({ rate_limit: 200, name: "a" }, { rate_limit: 84, name: "a", uid: "x" })).toEqual([
    { kind: "removed", text: '"rate_limit": 200' },
    { kind: "added", text: '"rate_limit": 84' },
    { kind: "same", text: '"name": "a"' },
    { kind: "added", text: '"uid": "x"' },
  ]);
});

test("a command quotes what a shell would read", () => {
  expect(quoted("it's")).toBe("'it'\\''s'");
  expect(curlOfMessage("http://localhost", "app", "a.b", "{}")).toContain(
    `-d '{"event_type":"a.b","payload":{}}'`,
  );
});

test("an example shows every field of a schema", () => {
  const schema = {
    type: "object",
    required: ["id"],
    properties: {
      id: { type: "string", examples: ["inv_1"] },
      paid: { type: "boolean" },
      lines: {
        type: "array",
        items: { type: "object", properties: { amount: { type: ["integer", "null"] } } },
      },
      currency: { enum: ["EUR", "USD"] },
    },
  };
  expect(exampleOf(schema)).toEqual({ id: "inv_1", paid: true, lines: [{ amount: 1 }], currency: "EUR" });
  expect(fieldsOf(schema)[0]).toEqual({ path: "id", type: "string", isRequired: true, description: "" });
});
