import { act, renderHook } from "@testing-library/react";
import { expect, test } from "vitest";
import { keepOrder, useStableOrder } from "./stable-order";

const same = (id: string) => id;

test("rows that are shown stay in their place, and new ones follow", () => {
  expect(keepOrder(["a", "b", "c"], ["c", "d", "a", "e"], same)).toEqual(["a", "c", "d", "e"]);
});

test("the order changes when the reader asks, or when another list is shown", () => {
  const { result, rerender } = renderHook(({ rows, key }) => useStableOrder(rows, same, key), {
    initialProps: { rows: ["a", "b"], key: "all" },
  });
  expect(result.current.rows).toEqual(["a", "b"]);
  rerender({ rows: ["b", "a"], key: "all" });
  expect(result.current.rows).toEqual(["a", "b"]);
  expect(result.current.isStale).toBe(true);
  act(() => result.current.sort());
  expect(result.current.rows).toEqual(["b", "a"]);
  expect(result.current.isStale).toBe(false);
  rerender({ rows: ["a", "b"], key: "failing" });
  expect(result.current.rows).toEqual(["a", "b"]);
});
