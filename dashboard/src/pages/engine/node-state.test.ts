import { expect, test } from "vitest";
import { nodeState } from "./node-state";

test.each([
  [null, 3, "Running"],
  ["2026-11-29T12:00:05Z", 3, "Running"],
  ["2026-11-29T12:00:05Z", 2_500, "Late"],
  ["2026-11-29T11:59:59Z", 3, "Lapsed"],
])("a node whose lease ends at %s with a lag of %s ms is %s", (lapses, lag, word) => {
  expect(nodeState({ lapses_at: lapses, lag_ms: lag }, new Date("2026-11-29T12:00:00Z")).word).toBe(word);
});
