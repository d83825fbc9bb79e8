import { expect, test } from "vitest";
import { changesOf } from "./fields";

const BEFORE = {
  url: "https://a.example.com/",
  description: "Orders",
  uid: "",
  filter_types: ["invoice.*"],
  channels: [],
  rate_limit_per_second: 60 as number | string,
  timeout_ms: "" as number | string,
  ordering: "none" as const,
  ordering_key: "",
  on_failure: "block" as const,
  retry_schedule: "",
  headers: "",
};

test("only changed fields are sent", () => {
  expect(changesOf(BEFORE, BEFORE)).toEqual({});
  expect(
    changesOf({ ...BEFORE, description: "", rate_limit_per_second: "", retry_schedule: "5, 300" }, BEFORE),
  ).toEqual({
    description: null,
    rate_limit_per_second: null,
    retry_schedule: [5, 300],
  });
});

test("headers are lines of names and values", () => {
  expect(changesOf({ ...BEFORE, headers: "authorization: Bearer a:b\n\nbroken" }, BEFORE)).toEqual({
    headers: { authorization: "Bearer a:b" },
  });
});
