import { describe, expect, test } from "vitest";
import {
  type FilterField,
  filterProblem,
  formatFilters,
  parseFilters,
  timeOfFilter,
  withFilter,
} from "./filters";

const STATUS: FilterField = {
  name: "status",
  label: "Status",
  kind: "choice",
  several: true,
  choices: [{ value: "failed", label: "Failed" }],
};
const SINCE: FilterField = { name: "since", label: "Accepted", kind: "time" };
const FIELDS = [STATUS, SINCE];

describe("filters in the URL", () => {
  test("what is written is read again", () => {
    const filters = { status: ["failed", "pending"], since: ["24h"] };
    expect(formatFilters(filters)).toEqual({ status: "failed,pending", since: "24h" });
    expect(parseFilters(formatFilters(filters), FIELDS)).toEqual(filters);
  });
  test("unknown parameters and empty values are left out", () => {
    expect(parseFilters({ status: "", tab: "x", since: 7 }, FIELDS)).toEqual({});
    expect(parseFilters({ status: ",failed," }, FIELDS)).toEqual({ status: ["failed"] });
  });
  test("a field without values is removed", () => {
    expect(withFilter({ status: ["failed"] }, "status", [])).toEqual({});
    expect(withFilter({}, "status", ["failed"])).toEqual({ status: ["failed"] });
  });
});

test("an invalid value has a reason", () => {
  expect(filterProblem(SINCE, "noon")).toMatch(/^Enter a time/);
  expect(filterProblem(SINCE, "2026-11-29T12:00:00Z")).toBeNull();
  expect(filterProblem({ ...STATUS, several: false }, "lost")).toBe("Choose one of Failed.");
});

test("a range counts back to a full minute", () => {
  expect(timeOfFilter("1h", new Date("2026-11-29T12:34:56Z"))).toBe("2026-11-29T11:34:00.000Z");
  expect(timeOfFilter("2026-11-29T12:00:00+01:00", new Date())).toBe("2026-11-29T11:00:00.000Z");
});
