/** Keys of the page that is open. Components bind keys while they are shown; the shell dispatches them. */
import { createContext, type ReactNode, useContext, useEffect, useMemo, useRef } from "react";
import { isTyping, type KeyBinding, KeyDispatcher } from "@/lib/keys";

type Bindings = { current: KeyBinding[] };

interface Registry {
  add: (bindings: Bindings) => () => void;
  all: () => KeyBinding[];
}

const KeysContext = createContext<Registry | null>(null);

/** Name of the switch that turns single keys off (WCAG 2.1.4). */
export const KEYS_OFF = "hookstream.keys-off";

export function KeysProvider({ children }: { children: ReactNode }) {
  const registry = useMemo((): Registry => {
    const bound: Bindings[] = [];
    return {
      add(bindings) {
        bound.push(bindings);
        return () => bound.splice(bound.indexOf(bindings), 1);
      },
      all: () => bound.flatMap((bindings) => bindings.current),
    };
  }, []);
  useEffect(() => {
    const dispatcher = new KeyDispatcher();
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || isTyping(event.target) || localStorage.getItem(KEYS_OFF) === "1") return;
      const found = dispatcher.press(event, registry.all(), event.timeStamp);
      if (found === null) return;
      event.preventDefault();
      found.run();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [registry]);
  return <KeysContext value={registry}>{children}</KeysContext>;
}

/** Binds keys while the component is shown. */
export function useKeys(bindings: KeyBinding[]): void {
  const registry = useContext(KeysContext);
  const current = useRef(bindings);
  useEffect(() => {
    current.current = bindings;
  });
  useEffect(() => registry?.add(current), [registry]);
}

/** Returns a function that lists the keys of the page. */
export function useAllKeys(): () => KeyBinding[] {
  const registry = useContext(KeysContext);
  return () => registry?.all() ?? [];
}
