import { expect, test } from "vitest";
import type { ListedEndpoint } from "./endpoints";
import { listenersOf } from "./listeners";

test("exact names, groups, everything and no filter listen", () => {
  const endpoint = (id: string, filter: string[] | null) =>
    ({ id, filter_types: filter === null ? null : JSON.stringify(filter) }) as ListedEndpoint;
  const all = [
    endpoint("exact", ["deploy.started", "invoice.paid"]),
    endpoint("group", ["invoice.*"]),
    endpoint("star", ["*"]),
    endpoint("none", null),
    endpoint("other", ["shipment.*", "invoice"]),
  ];
  expect(listenersOf(all, "invoice.paid").map(({ endpoint: { id }, by }) => [id, by])).toEqual([
    ["exact", "invoice.paid"],
    ["group", "invoice.*"],
    ["star", "*"],
    ["none", null],
  ]);
});
