import { expect, test } from "vitest";
import type { Attempt, Delivery, Message } from "@/api/messages";
import { historyOf } from "./history";

const message = { created_at: "2026-11-29T13:44:12.000Z" } as Message;
const attempt = (id: string, endpoint: string, at: string, more: object) =>
  ({
    id,
    endpoint_id: endpoint,
    created_at: at,
    attempt_number: 1,
    trigger_type: "initial",
    duration_ms: 94,
    ...more,
  }) as Attempt;

test("the history goes from acceptance to what is due", () => {
  const deliveries = [
    { endpoint_id: "a", status: "succeeded", attempt_count: 1 },
    { endpoint_id: "b", status: "pending", attempt_count: 1, next_attempt_at: "2026-11-29T13:49:12.000Z" },
    {
      endpoint_id: "c",
      status: "skipped",
      attempt_count: 0,
      ended_at: "2026-11-29T13:44:12.000Z",
      reason: "endpoint_disabled",
    },
  ] as Delivery[];
  const attempts = [
    attempt("2", "b", "2026-11-29T13:45:20.000Z", {
      status: "failed",
      error: "timeout: no answer within 20 s",
    }),
    attempt("1", "a", "2026-11-29T13:44:12.500Z", { status: "success", response_status: 200 }),
  ];
  const steps = historyOf(message, deliveries, attempts, (id) => id.toUpperCase());
  const words = steps.map((step) =>
    `${step.title} (${step.fact}) ${step.offset}`.replaceAll("\u202f", " ").trim(),
  );
  expect(words).toEqual([
    "Accepted and stored (for 3 endpoints)",
    "Skipped for C (endpoint disabled) +0 ms",
    "A took it (attempt 1, initial, 94 ms) +500 ms",
    "B did not answer (attempt 1, initial, 94 ms: no answer within 20 s) +1 min 08 s",
    "B is due (attempt 2)",
  ]);
  expect(steps[4]?.dueAt).toBe("2026-11-29T13:49:12.000Z");
});
