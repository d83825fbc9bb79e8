import { expect, test } from "vitest";
import type { ListedEndpoint } from "@/api/endpoints";
import type { Problem } from "@/api/problems";
import { lastArrivalOf, rowsOf, stateOf, typesOf, VIEWS } from "./rows";

const endpoint = (id: string, more: Partial<ListedEndpoint> = {}): ListedEndpoint =>
  ({
    id,
    url: `https://${id}.example`,
    status: "active",
    circuit_state: "closed",
    application_name: "Acme",
    filter_types: null,
    health: { from: "2026-11-29T12:00:00.000Z", due: [0, 0], arrived: [0, 0], pending: 0 },
    ...more,
  }) as ListedEndpoint;
const busy = (...due: number[]) => ({
  health: { from: "2026-11-29T12:00:00.000Z", due, arrived: due, pending: 0 },
});
const problem = (id: string, kind: string) =>
  ({ kind, severity: "warning", subject: { kind: "endpoint", id } }) as Problem;

test("those that need a person come first, the worst of them first, then those with traffic", () => {
  const all = [
    endpoint("quiet"),
    endpoint("busy", busy(5, 9)),
    endpoint("slow"),
    endpoint("open", { circuit_state: "open" }),
  ];
  const rows = rowsOf(all, [problem("open", "circuit_open"), problem("slow", "backlog_growing")]);
  expect(rows.map((row) => row.id)).toEqual(["open", "slow", "busy", "quiet"]);
  expect(rows.map((row) => stateOf(row).word)).toEqual(["Circuit open", "Slow", "Active", "Active"]);
  const sizes = VIEWS.map((view) => rows.filter((row) => view.has(row)).length);
  expect(sizes).toEqual([4, 2, 1, 0, 3]);
});

test("a filter that is empty gets every event type", () => {
  const types = ["invoice.paid", "invoice.voided", "deploy.started"];
  const filtered = endpoint("a", { filter_types: '["invoice.*"]' });
  expect(typesOf(filtered, types)).toEqual({ text: "2 of 3", isAll: false });
  expect(typesOf(endpoint("b", { filter_types: "[]" }), types)).toEqual({ text: "all 3", isAll: true });
});

test("the last arrival is known to the half hour", () => {
  expect(lastArrivalOf(endpoint("a", busy(1, 1)))).toEqual({ kind: "now" });
  expect(lastArrivalOf(endpoint("a", busy(1, 0)))).toEqual({
    kind: "earlier",
    since: new Date("2026-11-29T12:30:00.000Z"),
  });
  expect(lastArrivalOf(endpoint("a"))).toEqual({ kind: "none" });
});
