/** One ticker for all times of a page: each second while a time is under a minute old, else each minute. */
import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function tick(): void {
  now = Date.now();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    now = Date.now();
    timer = setInterval(tick, 1000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** Returns the step that a time of this age is shown in. */
function stepOf(ageMs: number): number {
  return Math.abs(ageMs) < 60_000 ? 1000 : 60_000;
}

/**
 * Returns the current time as far as it matters for a point in time: the component renders again only if the text may
 * differ.
 */
export function useNow(time: number): Date {
  const snapshot = () => {
    const step = stepOf(now - time);
    return step === 1000 ? now : Math.ceil(now / step) * step;
  };
  const value = useSyncExternalStore(subscribe, snapshot);
  return new Date(Math.min(value, Math.max(now, time)));
}

/** Returns the current time, each second. */
export function useSeconds(): Date {
  return new Date(useSyncExternalStore(subscribe, () => now));
}
