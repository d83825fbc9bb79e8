import { expect, test } from "vitest";
import { ApiError, fieldsOf, sentenceAtField } from "./errors";

test("an error names its field, and what is inside of it", () => {
  const error = new ApiError(400, {
    error: "`portal_theme` has an `icon` that is not an https URL.",
    code: "invalid_field",
    details: { field: "portal_theme" },
  });
  expect(fieldsOf(error)).toEqual(["portal_theme", "icon"]);
  expect(sentenceAtField(error)).toBe("Not an https URL.");
  expect(sentenceAtField(new ApiError(400, { error: "`name` is too long." }))).toBe("This name is too long.");
  expect(fieldsOf(new ApiError(500, null))).toEqual([]);
  expect(fieldsOf(new Error("lost"))).toEqual([]);
});
