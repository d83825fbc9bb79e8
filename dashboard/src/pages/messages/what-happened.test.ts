import { expect, test } from "vitest";
import type { Schemas } from "@/api/client";
import { whatHappened } from "./what-happened";

type Detail = Schemas["MessageDetail"];

const delivery = (endpoint_id: string, status: string, attempt_count: number, more: object = {}) => ({
  endpoint_id,
  status,
  attempt_count,
  ...more,
});
const attempt = (endpoint_id: string, status: string, error: string | null = null) => ({
  endpoint_id,
  status,
  error,
  created_at: "2026-11-29T14:00:00.050Z",
  duration_ms: 44,
});
const detail = (deliveries: object[], attempts: object[]) =>
  ({ message: { created_at: "2026-11-29T14:00:00.000Z" }, deliveries, attempts }) as Detail;
const line = (one: Detail) => {
  const { word, sentence, pips, arrived, total } = whatHappened(one);
  return [`${arrived} of ${total}`, pips.join(" "), word, sentence.replaceAll("\u202f", " ")];
};

test("a delivered message says when it first arrived", () => {
  expect(line(detail([delivery("a", "succeeded", 1)], [attempt("a", "success")]))).toEqual([
    "1 of 1",
    "arrived",
    "",
    "First arrived after 94 ms",
  ]);
});

test("the worst delivery decides the sentence", () => {
  const one = detail(
    [
      delivery("a", "succeeded", 1),
      delivery("b", "pending", 2, { next_attempt_at: "2026-11-29T14:05:00.000Z" }),
    ],
    [attempt("a", "success"), attempt("b", "failed", "http_status: the receiver answered 503")],
  );
  expect(line(one)).toEqual(["1 of 2", "retrying arrived", "http_status", "answered 503"]);
  expect(whatHappened(one).nextAt).toBe("2026-11-29T14:05:00.000Z");
});

test("what was not sent has a reason, and what nobody wants says so", () => {
  const skipped = detail([delivery("a", "skipped", 0, { reason: "endpoint_disabled" })], []);
  expect(line(skipped)[3]).toBe("Not sent: the endpoint was disabled");
  expect(line(detail([], []))[3]).toBe("No endpoint wants it");
});
