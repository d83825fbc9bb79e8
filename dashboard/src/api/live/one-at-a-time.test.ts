import { expect, test, vi } from "vitest";
import { oneAtATime } from "./one-at-a-time";

/** Lets everything settle that waits for no timer. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

test("changes while an act runs make it run once more", async () => {
  const ends: (() => void)[] = [];
  const act = vi.fn(() => new Promise<void>((resolve) => ends.push(resolve)));
  const run = oneAtATime(act);
  run();
  run();
  run();
  expect(act).toHaveBeenCalledTimes(1);
  ends[0]?.();
  await vi.waitFor(() => expect(act).toHaveBeenCalledTimes(2));
  ends[1]?.();
  await turn();
  expect(act).toHaveBeenCalledTimes(2);
});

test("an act that failed runs again", async () => {
  const act = vi.fn(() => Promise.reject(new Error("lost")));
  const run = oneAtATime(act);
  run();
  await turn();
  run();
  expect(act).toHaveBeenCalledTimes(2);
});
