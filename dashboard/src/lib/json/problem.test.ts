import { expect, test } from "vitest";
import { jsonProblem, lineOfPointer, schemaProblem } from "./problem";

test("a text that is no JSON has its line", () => {
  expect(jsonProblem('{\n  "a": 1\n}')).toBeNull();
  expect(jsonProblem('{\n  "a": 1\n  "b": 2\n}')?.line).toBe(3);
  expect(jsonProblem('{\n  "a": 1')?.line).toBe(2);
  expect(jsonProblem('{\n  "a": }')?.message).toMatch(/^This is no JSON: unexpected token/);
});

test("a schema that the server refused is marked at the part that it names", () => {
  const schema = '{\n  "properties": {\n    "id": { "type": "objekt" }\n  }\n}';
  expect(lineOfPointer(schema, "/properties/id/type")).toBe(3);
  expect(lineOfPointer(schema, "/properties/missing")).toBe(0);
  expect(schemaProblem("json_schema is invalid at /properties/id/type: not a type", schema).line).toBe(3);
  expect(schemaProblem("json_schema must be an object", schema).line).toBe(0);
});
