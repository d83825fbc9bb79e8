import { expect, test } from "vitest";
import { formatSearch, parseSearch, pick } from "./search-params";

test("search parameters are plain text in both directions", () => {
  expect(parseSearch("?status=failed,pending&since=2026-11-29T12:00:00Z")).toEqual({
    status: "failed,pending",
    since: "2026-11-29T12:00:00Z",
  });
  expect(formatSearch({ status: "failed,pending", view: undefined })).toBe("?status=failed,pending");
});

test("a page reads the parameters that it knows", () => {
  const read = pick("tab", "edit");
  expect(read({ tab: "signing", edit: "", other: "x" })).toEqual({ tab: "signing" });
});
