import { expect, test } from "vitest";
import { attemptState, deliveryState, endpointState, summaryState } from "./states";

test("a pending delivery retries after its first attempt", () => {
  expect(deliveryState({ status: "pending", attempt_count: 0 }).word).toBe("Pending");
  expect(deliveryState({ status: "pending", attempt_count: 1 }).word).toBe("Retrying");
});

test("an attempt is named by its response", () => {
  expect(attemptState({ status: "failed", response_status: 503 })).toMatchObject({
    word: "503",
    tone: "bad",
  });
  expect(attemptState({ status: "failed", response_status: null }).word).toBe("No answer");
});

test("an open circuit says more than the status, except where the status stops the endpoint", () => {
  expect(endpointState({ status: "active", circuit_state: "open" }).word).toBe("Circuit open");
  expect(endpointState({ status: "paused", circuit_state: "open" }).word).toBe("Paused");
});

test("a message is summarized by its worst part", () => {
  const done = { status: "succeeded", attempt_count: 1 };
  const again = { status: "pending", attempt_count: 2 };
  expect(summaryState({ status: "pending" }, [done, again, done]).word).toBe("1 of 3 retrying");
  expect(summaryState({ status: "delivered" }, [done, done]).word).toBe("Delivered");
  expect(summaryState({ status: "failed" }, [{ status: "exhausted", attempt_count: 10 }]).word).toBe(
    "Exhausted",
  );
  expect(summaryState({ status: "skipped" }, []).word).toBe("Skipped");
});
