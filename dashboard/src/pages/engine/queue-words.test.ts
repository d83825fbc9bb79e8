import { expect, test } from "vitest";
import type { Lane } from "@/api/engine";
import { drainOf, openCircuits, queuesTitle } from "./queue-words";

const lane = (more: Partial<Lane>): Lane => ({
  endpoint_id: "e",
  application_id: "a",
  queued: 0,
  in_store: 0,
  in_flight: 0,
  circuit_state: "closed",
  ...more,
});
const held = lane({ circuit_state: "open", in_store: 12 });
const slow = lane({ queued: 9, per_second: 4 });

const active = () => "active";

test("the title says who waits and whether anybody else does", () => {
  expect(queuesTitle([], active)).toEqual({ title: "Nothing waits", aside: "0/s go out." });
  expect(queuesTitle([held, held], active).title).toBe("2 queues are held, nobody else waits");
  expect(queuesTitle([held, slow], active).title).toBe("1 queue is held, 1 other drains");
  expect(queuesTitle([slow], active).title).toBe("1 queue drains, none is held");
  expect(queuesTitle([slow], () => "paused").title).toBe("1 queue is held, nobody else waits");
  expect(queuesTitle([slow], active).aside).toBe("4/s go out.");
  expect(queuesTitle([slow], () => "disabled").aside).toBe("0/s go out.");
  expect([openCircuits([held, slow], active), openCircuits([held], () => "disabled")]).toEqual([1, 0]);
});

test("a queue drains at its pace, once it is resumed or answers, or not at all", () => {
  const words = (one: Lane, status = "active") => drainOf(one, status).text.replaceAll("\u202f", " ");
  expect(words(lane({ queued: 8, drained_in_s: 2 }))).toBe("2.0 s");
  expect(words(held)).toBe("once it answers");
  expect(words(held, "paused")).toBe("when resumed");
  expect(words(slow)).toBe("not at this pace");
  expect(words(lane({}))).toBe("");
});
