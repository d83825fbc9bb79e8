import { expect, test } from "vitest";
import { parseMetrics } from "./metrics-text";
import { figuresOfNode, uptimeOf } from "./node-figures";

const reading = (text: string, readAt = 1_000_000) => ({ samples: parseMetrics(text), readAt });
const valueOf = (figures: ReturnType<typeof figuresOfNode>, label: string) =>
  figures.find((figure) => figure.label === label);

test("a rate needs two readings of one process", () => {
  const before = reading("hookstream_messages_accepted_total 10", 1_000_000);
  const now = reading("hookstream_messages_accepted_total 40", 1_005_000);
  expect(valueOf(figuresOfNode(now, null), "Accepted")?.value).toBe("40");
  expect(valueOf(figuresOfNode(now, before), "Accepted")?.value).toBe("6/s");
  expect(valueOf(figuresOfNode(before, now), "Accepted")?.value).toBe("10");
});

test("what is unaccounted is bad, what is late is careful", () => {
  const calm = figuresOfNode(
    reading("hookstream_deliveries_unaccounted 0\nhookstream_oldest_due_seconds 2"),
    null,
  );
  expect(valueOf(calm, "Unaccounted")).toMatchObject({ value: "0", isBad: false });
  expect(valueOf(calm, "Oldest due")).toMatchObject({ isCareful: false });
  const bad = figuresOfNode(
    reading("hookstream_deliveries_unaccounted 3\nhookstream_oldest_due_seconds 90"),
    null,
  );
  expect(valueOf(bad, "Unaccounted")).toMatchObject({ value: "3", isBad: true });
  expect(valueOf(bad, "Oldest due")).toMatchObject({ isCareful: true });
});

test("gauges of the installation may be on another node", () => {
  expect(valueOf(figuresOfNode(reading(""), null), "Pending")?.value).toBe("on another node");
});

test("uptime is the time since the start of the process", () => {
  expect(uptimeOf(reading("process_start_time_seconds 940", 1_000_000))).toContain("1");
  expect(uptimeOf(reading(""))).toBe(null);
});
