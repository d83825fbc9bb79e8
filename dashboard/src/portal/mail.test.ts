import { expect, test } from "vitest";
import { ApiError } from "@/api/errors";
import type { Notifications } from "./api";
import { choiceOf, digitsOf, isSameChoice, placeOfError, stepOf } from "./mail";

const mail = (state: Notifications["state"], email: string | null, events: string[] = []): Notifications => ({
  state,
  email,
  events,
  is_available: true,
});
const ADDRESS = "dev@acme.example";

test("the step is that of the state, and of the address if another one is entered", () => {
  expect(stepOf(mail("off", null), false)).toEqual({ kind: "address", former: null });
  expect(stepOf(mail("off", null), true)).toEqual({ kind: "address", former: null });
  expect(stepOf(mail("unconfirmed", ADDRESS), false)).toEqual({ kind: "code", email: ADDRESS });
  expect(stepOf(mail("on", ADDRESS), false)).toEqual({ kind: "on", email: ADDRESS });
  for (const state of ["unconfirmed", "on"] as const) {
    const former = { email: ADDRESS, reason: "replaced" };
    expect(stepOf(mail(state, ADDRESS), true)).toEqual({ kind: "address", former });
  }
});

test("an address whose mail was refused for days is offered again", () => {
  const former = { email: ADDRESS, reason: "refused" };
  for (const isOther of [false, true]) {
    expect(stepOf(mail("off", ADDRESS), isOther)).toEqual({ kind: "address", former });
  }
});

test("the choice is that of the server, and everything before there is one", () => {
  expect(choiceOf(mail("off", null))).toEqual(["endpoint_failing", "endpoint_disabled"]);
  expect(choiceOf(mail("on", ADDRESS, ["endpoint_disabled"]))).toEqual(["endpoint_disabled"]);
  const both = mail("on", ADDRESS, ["endpoint_disabled", "endpoint_failing"]);
  expect(choiceOf(both)).toEqual(["endpoint_failing", "endpoint_disabled"]);
  expect(isSameChoice(["a", "b"], ["b", "a"])).toBe(true);
  expect(isSameChoice(["a"], ["a", "b"])).toBe(false);
  expect(isSameChoice(["a"], ["b"])).toBe(false);
});

test.each([
  ["493027", "493027"],
  [" 493 027\n", "493027"],
  ["４９３０２７", "493027"],
  ["4930271", "493027"],
  ["abc", ""],
])("the digits of %j are %j", (text, expected) => {
  expect(digitsOf(text)).toBe(expected);
});

test("an error stands at its field, and any other one at the foot", () => {
  const error = (code: string, details: object = {}) => new ApiError(400, { code, error: "…", details });
  expect(placeOfError(error("invalid_field", { field: "email" }))).toBe("email");
  expect(placeOfError(error("invalid_field", { field: "events" }))).toBe("card");
  expect(placeOfError(error("wrong_code"))).toBe("code");
  expect(placeOfError(error("none_to_confirm"))).toBe("code");
  for (const code of ["rate_limited", "mail_failed", "no_mail"]) {
    expect(placeOfError(error(code))).toBe("card");
  }
  expect(placeOfError(new Error("Failed to fetch"))).toBe("card");
});
