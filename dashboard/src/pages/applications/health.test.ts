import { expect, test } from "vitest";
import type { ListedEndpoint } from "@/api/endpoints";
import { healthByApplication, healthOf } from "./health";

const endpoint = (application_id: string, circuit_state: string, due: number[], arrived: number[]) =>
  ({
    application_id,
    status: "active",
    circuit_state,
    health: { from: "2026-11-29T12:00:00.000Z", due, arrived, pending: 2 },
  }) as ListedEndpoint;

test("an application is as healthy as its worst endpoint, and its strip is the sum", () => {
  const health = healthOf([endpoint("a", "closed", [4, 6], [4, 6]), endpoint("a", "open", [1, 3], [1, 0])]);
  expect(health.state?.word).toBe("1 of 2 circuit open");
  expect([health.due, health.arrived, health.pending]).toEqual([14, 11, 4]);
  expect(health.buckets.map(({ due, arrived }) => [due, arrived])).toEqual([
    [5, 5],
    [9, 6],
  ]);
});

test("endpoints belong to their application", () => {
  const all = healthByApplication([endpoint("a", "closed", [1], [1]), endpoint("b", "closed", [2], [2])]);
  expect(all.get("b")?.due).toBe(2);
  expect(all.get("a")?.state?.word).toBe("Active");
  expect(healthOf([]).state).toBeNull();
});
