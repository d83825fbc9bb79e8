/** Selection of rows, the row of the focus, and rows that changed while they are shown. */
import { useRef } from "react";

/** Returns the selection with one row turned over. */
export function toggled(selected: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(selected);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** Returns the selection with all rows between two places. */
export function withRange(
  selected: ReadonlySet<string>,
  ids: string[],
  from: number,
  to: number,
): ReadonlySet<string> {
  const [first, last] = from < to ? [from, to] : [to, from];
  return new Set([...selected, ...ids.slice(first, last + 1)]);
}

/** Returns the place of the row that has the focus, or null. */
export function indexOfFocus(): number | null {
  const text = document.activeElement?.closest("[data-index]")?.getAttribute("data-index");
  return text === null || text === undefined ? null : Number(text);
}

/**
 * Returns a number by row that turns over each time the row changes while it is in view. A row that comes into view has
 * none: nothing flashes when a list appears or is scrolled.
 */
export function useFlashes<T>(
  rows: T[],
  idOf: (row: T) => string,
  signatureOf: ((row: T) => string) | undefined,
): Map<string, number> {
  const seen = useRef(new Map<string, { signature: string; flash: number | undefined }>());
  const flashes = new Map<string, number>();
  if (signatureOf === undefined) return flashes;
  const inView: typeof seen.current = new Map();
  for (const row of rows) {
    const [id, signature] = [idOf(row), signatureOf(row)];
    const before = seen.current.get(id);
    const flash =
      before === undefined || before.signature === signature ? before?.flash : before.flash === 1 ? 0 : 1;
    inView.set(id, { signature, flash });
    if (flash !== undefined) flashes.set(id, flash);
  }
  seen.current = inView;
  return flashes;
}
