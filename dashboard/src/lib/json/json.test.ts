import { describe, expect, test } from "vitest";
import { indentJson, listOf, objectOf, tokenizeJson } from "./json";

describe("tokenizer", () => {
  test("keys, strings, numbers and punctuation are told apart", () => {
    const kinds = tokenizeJson('{"a": "b:", "n": -1.5e3}')
      ?.flat()
      .filter((token) => token.kind !== "space");
    expect(kinds?.map((token) => token.kind)).toEqual([
      "punctuation",
      "key",
      "punctuation",
      "string",
      "punctuation",
      "key",
      "punctuation",
      "number",
      "punctuation",
    ]);
  });
  test("line breaks make lines", () => expect(tokenizeJson('{\n  "a": 1\n}')).toHaveLength(3));
  test("a text that is no JSON has no tokens", () => {
    expect(tokenizeJson("<html>")).toBeNull();
    expect(tokenizeJson('{"a": unquoted}')).toBeNull();
  });
});

describe("indentation", () => {
  test("numbers and duplicate keys stay as written", () => {
    expect(indentJson('{"a":12345678901234567890,"a":1.0,"e":[],"l":[1,{"x":null}]}')).toBe(
      '{\n  "a": 12345678901234567890,\n  "a": 1.0,\n  "e": [],\n  "l": [\n    1,\n    {\n      "x": null\n    }\n  ]\n}',
    );
  });
  test("a string keeps what it contains", () => expect(indentJson('"a, {b}"')).toBe('"a, {b}"'));
});

test("columns of JSON text are read without failing", () => {
  expect(listOf('["invoice.*"]')).toEqual(["invoice.*"]);
  expect(listOf(null)).toEqual([]);
  expect(objectOf('{"a":1}')).toEqual({ a: 1 });
  expect(objectOf("broken")).toEqual({});
});
