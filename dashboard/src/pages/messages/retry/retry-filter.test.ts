import { expect, test } from "vitest";
import { messageFields } from "../fields";
import { commandOf, notApplied, requestOf, statusesOf } from "./retry-filter";

const now = new Date("2026-11-29T14:05:30.000Z");

test("filters become the request of the retry", () => {
  const filters = {
    status: ["failed", "skipped"],
    since: ["1h"],
    until: ["2026-11-29T14:00:00Z"],
    application_id: ["app"],
    endpoint_id: ["end"],
    event_type: ["invoice.paid", "invoice.sent"],
  };
  expect(requestOf(filters, statusesOf(filters), 50, now)).toEqual({
    since: "2026-11-29T13:05:00.000Z",
    until: "2026-11-29T14:00:00.000Z",
    application_id: "app",
    endpoint_id: "end",
    event_types: ["invoice.paid", "invoice.sent"],
    statuses: ["exhausted", "skipped"],
    rate_limit: 50,
  });
});

test("without filters it is what failed at any time, at a rate within the limits", () => {
  expect(requestOf({}, statusesOf({}), 0, now)).toEqual({
    since: "1970-01-01T00:00:00.000Z",
    statuses: ["exhausted"],
    rate_limit: 100,
  });
  expect(requestOf({}, ["skipped"], 5000, now).rate_limit).toBe(1000);
});

test("what the operation cannot select by is named", () => {
  const fields = messageFields([], []);
  expect(notApplied({ status: ["failed"], since: ["1h"] }, fields)).toEqual([]);
  expect(notApplied({ status: ["failed", "pending"] }, fields)).toEqual([]);
  expect(
    notApplied(
      { search: ["ada"], channel: ["eu"], event_id: ["evt_1"], status: ["delivered", "pending"] },
      fields,
    ),
  ).toEqual(["Text contains ada", "Channel is eu", "Event id is evt_1", "Status is Delivered, Pending"]);
});

test("the command can be pasted whatever the filters hold", () => {
  const request = requestOf({ endpoint_id: ["it's"] }, ["exhausted"], 100, now);
  expect(commandOf(request, "https://hooks.example.com")).toBe(
    `curl 'https://hooks.example.com/v1/messages/retry' -H "X-API-Key: $KEY" -d '{"since":"1970-01-01T00:00:00.000Z","endpoint_id":"it'\\''s","statuses":["exhausted"],"rate_limit":100}'`,
  );
});
