import { expect, test } from "vitest";
import { isOwnChange, own } from "./own-changes";

test("a change is the tab's own while its request runs and for five seconds", async () => {
  expect(isOwnChange("one", Date.now())).toBe(false);
  let end: () => void = () => undefined;
  const change = own("one", new Promise<void>((resolve) => (end = resolve)));
  expect(isOwnChange("one", Date.now() + 60_000)).toBe(true);
  expect(isOwnChange("other", Date.now())).toBe(false);
  end();
  await change;
  expect([4_000, 6_000].map((later) => isOwnChange("one", Date.now() + later))).toEqual([true, false]);
});

test("a refused change is over too", async () => {
  await expect(own("two", Promise.reject(new Error("refused")))).rejects.toThrow("refused");
  expect(isOwnChange("two", Date.now() + 6_000)).toBe(false);
});
