/** Keyboard dispatcher: single keys and two-key sequences, silent while a field has the focus. */

/** What a key does on the page that is open. */
export interface KeyBinding {
  /** Keys as shown: `j`, `⇧R`, `?`, or a sequence such as `g m`. */
  keys: string;
  label: string;
  run: () => void;
}

/** Time within which the second key of a sequence counts. */
export const SEQUENCE_MS = 1200;

/** Key event as far as the dispatcher looks at it. */
export interface KeyPress {
  key: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

/** Returns the name of a pressed key as bindings write it, or null for a key with a modifier of the browser. */
export function keyName(press: KeyPress): string | null {
  if (press.ctrlKey || press.metaKey || press.altKey) return null;
  if (press.key.length === 1 && /[a-zA-Z]/.test(press.key)) {
    return press.shiftKey ? `⇧${press.key.toUpperCase()}` : press.key.toLowerCase();
  }
  return press.key;
}

/** Remembers the first key of a sequence and finds the binding of what was pressed. */
export class KeyDispatcher {
  #pending: { key: string; at: number } | null = null;

  /** Returns the binding that the key completes, or null. */
  press(press: KeyPress, bindings: KeyBinding[], now: number): KeyBinding | null {
    const key = keyName(press);
    if (key === null) return null;
    const first = this.#pending !== null && now - this.#pending.at < SEQUENCE_MS ? this.#pending.key : null;
    this.#pending = null;
    if (first !== null) {
      const found = bindings.findLast((binding) => binding.keys === `${first} ${key}`);
      if (found) return found;
    }
    if (bindings.some((binding) => binding.keys.startsWith(`${key} `))) this.#pending = { key, at: now };
    // The last one wins: a page binds after the shell.
    return bindings.findLast((binding) => binding.keys === key) ?? null;
  }
}

/** Returns whether a key belongs to the element with the focus and not to the page. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return (
    target.isContentEditable ||
    ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName) ||
    target.closest("[role=dialog],[role=menu],[role=listbox]") !== null
  );
}
