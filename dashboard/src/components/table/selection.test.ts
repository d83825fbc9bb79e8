import { renderHook } from "@testing-library/react";
import { expect, test } from "vitest";
import { toggled, useFlashes, withRange } from "./selection";

test("a row is turned over, and a range is added", () => {
  const ids = ["a", "b", "c", "d"];
  expect([...toggled(new Set(["a"]), "a")]).toEqual([]);
  expect([...toggled(new Set(["a"]), "b")]).toEqual(["a", "b"]);
  expect([...withRange(new Set(["a"]), ids, 3, 1)]).toEqual(["a", "b", "c", "d"]);
});

test("a row flashes when it changes while it is shown, and not when it appears", () => {
  type Row = { id: string; status: string };
  const useShown = ({ rows }: { rows: Row[] }) =>
    useFlashes(
      rows,
      (row) => row.id,
      (row) => row.status,
    );
  const { result, rerender } = renderHook(useShown, {
    initialProps: { rows: [{ id: "a", status: "pending" }] },
  });
  expect(result.current.get("a")).toBeUndefined();
  rerender({ rows: [{ id: "a", status: "delivered" }] });
  expect(result.current.get("a")).toBe(1);
  rerender({ rows: [{ id: "a", status: "delivered" }] });
  expect(result.current.get("a")).toBe(1);
  rerender({ rows: [{ id: "a", status: "failed" }] });
  expect(result.current.get("a")).toBe(0);
});
