import { expect, test } from "vitest";
import type { Problem, ProblemList } from "@/api/problems";
import { backlogCurve } from "./cause";
import { titleOf } from "./title";

const ofEndpoint = { subject: { kind: "endpoint" } } as Problem;
const list = (endpoints: number, problems: Problem[], isPartial = false): ProblemList => ({
  as_of: "2026-11-29T14:32:06.000Z",
  endpoints,
  problems,
  is_partial: isPartial,
});
const plain = (words: { title: string; aside: string }) =>
  `${words.title}. ${words.aside}`.replaceAll("\u202f", " ");

test.each([
  [
    list(1038, [ofEndpoint, ofEndpoint]),
    null,
    "2 endpoints need you. 1,036 of 1,038 endpoints deliver normally.",
  ],
  [list(9, [ofEndpoint]), null, "1 endpoint needs you. 8 of 9 endpoints deliver normally."],
  [list(1038, []), 2, "All 1,038 endpoints deliver. Nothing waits longer than 2 s."],
  [list(1, []), null, "The endpoint delivers. Nothing waits."],
  [list(0, []), null, "No endpoint yet. "],
  [
    list(5, [{ subject: { kind: "installation" } } as Problem]),
    null,
    "1 problem outside of the endpoints. Nothing waits.",
  ],
])("the title is the answer %#", (problems, oldest, words) =>
  expect(plain(titleOf(problems, oldest))).toBe(words),
);

test("the curve adds up what has not arrived", () => {
  expect(
    backlogCurve([
      { due: 10, arrived: 10 },
      { due: 10, arrived: 4 },
      { due: 5, arrived: 5 },
    ]),
  ).toEqual([0, 6, 6]);
});
