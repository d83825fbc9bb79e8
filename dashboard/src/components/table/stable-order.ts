/** Order that stays while live data arrives: rows change in place, and move only when the reader asks. */
import { useState } from "react";

/** Returns rows in the order of the ids that were shown; rows that were not shown follow in their own order. */
export function keepOrder<T>(shown: string[], rows: T[], idOf: (row: T) => string): T[] {
  const places = new Map(shown.map((id, index) => [id, index]));
  const placeOf = (row: T) => places.get(idOf(row)) ?? Infinity;
  // The sort is stable, so new rows keep their order among each other.
  return [...rows].sort((one, other) => {
    const [first, second] = [placeOf(one), placeOf(other)];
    return first === second ? 0 : first - second;
  });
}

interface StableOrder<T> {
  rows: T[];
  /** True if the rows would stand in another order by now. */
  isStale: boolean;
  /** Puts the rows into their order of now. */
  sort: () => void;
}

/** Keeps the order in which rows were first shown, until it is asked to sort or `key` changes. */
export function useStableOrder<T>(rows: T[], idOf: (row: T) => string, key = ""): StableOrder<T> {
  const ids = rows.map(idOf);
  const [held, setHeld] = useState<{ key: string; ids: string[] }>({ key, ids: [] });
  if (held.key !== key || (held.ids.length === 0 && ids.length > 0)) {
    // The first rows, or those of another list, are shown in their own order.
    setHeld({ key, ids });
    return { rows, isStale: false, sort: () => undefined };
  }
  const kept = keepOrder(held.ids, rows, idOf);
  return {
    rows: kept,
    isStale: kept.some((row, index) => idOf(row) !== ids[index]),
    sort: () => setHeld({ key, ids }),
  };
}
