import { expect, test } from "vitest";
import { nextPath } from "./AccountPage";

const ORIGIN = "https://hooks.example.com";

test.each([
  [null, "/dashboard"],
  ["/dashboard/messages?status=failed", "/dashboard/messages?status=failed"],
  ["https://evil.example.com/", "/dashboard"],
  ["//evil.example.com", "/dashboard"],
  ["/\\evil.example.com", "/dashboard"],
  ["/\t/evil.example.com", "/dashboard"],
  ["javascript:alert(1)", "/dashboard"],
])("%s leads to %s", (next, expected) => expect(nextPath(next, ORIGIN)).toBe(expected));
