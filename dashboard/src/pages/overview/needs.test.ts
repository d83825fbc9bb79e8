import { expect, test } from "vitest";
import type { Lane } from "@/api/engine";
import { needsOf } from "./needs";

const lane = (id: string, more: Partial<Lane>): Lane => ({
  endpoint_id: id,
  application_id: "app",
  queued: 0,
  in_store: 0,
  in_flight: 0,
  circuit_state: "closed",
  ...more,
});

test("open circuits come first, then what waits most; what drains soon needs nobody", () => {
  const lanes = [
    lane("calm", { queued: 3, drained_in_s: 2 }),
    lane("slow", { in_store: 6204, drained_in_s: 1551, per_second: 4 }),
    lane("few", { circuit_state: "open", in_store: 3 }),
    lane("many", { circuit_state: "open", in_store: 12_481 }),
  ];
  expect(needsOf(lanes).map((need) => need.lane.endpoint_id)).toEqual(["many", "few", "slow"]);
  expect(needsOf(lanes)[2]?.cause).toBe("6,204 deliveries wait and leave at 4.0 a second.");
});
