/**
 * Live updates: pages name a topic and learn that something in it changed. Today a poll says so every ten seconds; a
 * stream replaces `pollingSource` without a change of the pages.
 */
import {
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useSyncExternalStore,
} from "react";

/** State of the connection, as the top bar shows it. */
export type LiveState = "live" | "paused" | "reconnecting";

/** Part of the environment that a page watches. */
export type Topic = "messages" | "attempts" | "endpoints" | "jobs" | "lanes";

/** Source of changes. One is shared by all pages of a tab. */
export interface LiveSource {
  state(): LiveState;
  onState(listener: () => void): () => void;
  setPaused(isPaused: boolean): void;
  /** Calls `changed` whenever something of the topic may have changed, until the returned function is called. */
  watch(topic: Topic, changed: () => void): () => void;
}

/** Interval of the poll. */
const POLL_MS = 10_000;

/** Returns a source that asks at an interval. A hidden tab asks nothing, and catches up when it is seen. */
export function pollingSource(intervalMs = POLL_MS): LiveSource {
  const watchers = new Set<() => void>();
  const listeners = new Set<() => void>();
  let isPaused = false;
  let timer: ReturnType<typeof setInterval> | undefined;
  const tell = () => {
    if (!isPaused && !document.hidden) for (const watcher of watchers) watcher();
  };
  const run = () => {
    clearInterval(timer);
    timer = watchers.size > 0 && !isPaused ? setInterval(tell, intervalMs) : undefined;
  };
  document.addEventListener("visibilitychange", tell);
  return {
    state: () => (isPaused ? "paused" : "live"),
    onState(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    setPaused(paused) {
      isPaused = paused;
      run();
      tell();
      for (const listener of listeners) listener();
    },
    watch(_topic, changed) {
      watchers.add(changed);
      run();
      return () => {
        watchers.delete(changed);
        run();
      };
    },
  };
}

const LiveContext = createContext<LiveSource | null>(null);

export function LiveProvider({ children }: { children: ReactNode }) {
  const source = useMemo(() => pollingSource(), []);
  return <LiveContext value={source}>{children}</LiveContext>;
}

function useSource(): LiveSource {
  const source = useContext(LiveContext);
  if (source === null) throw new Error("the page is inside of LiveProvider");
  return source;
}

/** Calls `changed` on changes of a topic while the component is shown. */
export function useLive(topic: Topic, changed: () => void): void {
  const source = useSource();
  const latest = useRef(changed);
  useEffect(() => {
    latest.current = changed;
  });
  useEffect(() => source.watch(topic, () => latest.current()), [source, topic]);
}

/** Returns the state of the live updates, with the switch that pauses them. */
export function useLiveState(): { state: LiveState; setPaused: (isPaused: boolean) => void } {
  const source = useSource();
  const state = useSyncExternalStore(
    (listener) => source.onState(listener),
    () => source.state(),
  );
  return { state, setPaused: (isPaused) => source.setPaused(isPaused) };
}
