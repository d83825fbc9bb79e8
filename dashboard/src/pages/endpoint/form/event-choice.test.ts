import { expect, test } from "vitest";
import { groupsOf, isChosen, titleOf, withGroup, withType } from "./event-choice";

const TYPES = ["endpoint.created", "endpoint.disabled", "message.attempt.exhausted", "node.lost"].map(
  (name) => ({
    name,
  }),
);
const [ENDPOINT, MESSAGE, NODE] = groupsOf(TYPES);
if (!ENDPOINT || !MESSAGE || !NODE) throw new Error("three groups");

test("types are grouped by the first part of their names", () => {
  expect(groupsOf(TYPES).map(({ prefix, types }) => [prefix, types.length])).toEqual([
    ["endpoint", 2],
    ["message", 1],
    ["node", 1],
  ]);
  expect(titleOf("payload_budget")).toBe("Payload budget");
});

test("a choice without names has no type, and a group has each of its types", () => {
  expect(isChosen([], "node.lost")).toBe(false);
  expect(isChosen(["endpoint.*"], "endpoint.disabled")).toBe(true);
  expect(isChosen(["endpoint.*"], "node.lost")).toBe(false);
});

test("a whole group is one name that includes later types", () => {
  expect(withGroup(["endpoint.disabled", "node.lost"], true, ENDPOINT)).toEqual(["node.lost", "endpoint.*"]);
  expect(withGroup(["endpoint.*", "node.lost"], false, ENDPOINT)).toEqual(["node.lost"]);
  expect(withGroup([], true, NODE)).toEqual(["node.lost"]);
});

test("a group that loses one type keeps the others by name", () => {
  expect(withType(["endpoint.*", "node.lost"], "endpoint.created", false, ENDPOINT)).toEqual([
    "node.lost",
    "endpoint.disabled",
  ]);
  expect(withType(["node.lost"], "node.lost", false, NODE)).toEqual([]);
  expect(withType(["endpoint.*"], "endpoint.created", true, ENDPOINT)).toEqual(["endpoint.*"]);
  expect(withType([], "message.attempt.exhausted", true, MESSAGE)).toEqual(["message.attempt.exhausted"]);
});
