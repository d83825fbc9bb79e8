import { expect, test } from "vitest";
import { ApiError, fieldsOf, problemOfForm, sentenceAtField } from "./errors";

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

test.each([
  [
    "rule_config",
    "`rule_config` has `window_minutes`, which must be a whole number from 1 to 1440.",
    { field: "window_minutes", text: "Must be a whole number from 1 to 1440." },
  ],
  [
    "rule_config.quiet_hours",
    "`rule_config.quiet_hours` must not begin and end at the same time.",
    { field: "quiet_hours", text: "Must not begin and end at the same time." },
  ],
  [
    "config.url",
    "`config.url` must be an absolute URL such as https://example.com/webhooks.",
    { field: "url", text: "Must be an absolute URL such as https://example.com/webhooks." },
  ],
  [
    "channel_type",
    "`channel_type` is `email`, for which this installation has no mail server.",
    { field: "channel_type", text: "Is email, for which this installation has no mail server." },
  ],
])("an error stands at the innermost field that it names: %s", (field, error, problem) => {
  expect(problemOfForm(new ApiError(400, { error, details: { field } }))).toEqual(problem);
});

test("an error without a field stands at none", () => {
  expect(problemOfForm(new ApiError(409, { error: "There are 100 alert rules." }))).toBeNull();
  expect(problemOfForm(new Error("lost"))).toBeNull();
});
