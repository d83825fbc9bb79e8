/**
 * Live updates: pages name a topic and learn that something in it changed. One connection of the tab is shared by all of
 * them.
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
import { queryClient } from "../client";
import { useSession } from "../session";
import type { LiveSource, LiveState, Outage, Topic } from "./source";
import { oneAtATime } from "./one-at-a-time";
import { streamSource } from "./stream";
import { serverSentEvents, webSocket } from "./transports";

export type { LiveSource, LiveState, Outage, Topic } from "./source";

const LiveContext = createContext<LiveSource | null>(null);

/** Any answer will do, also that the session has ended: the queries of the pages find that out. */
async function isReachable(): Promise<boolean> {
  try {
    const answer = await fetch("/v1/auth/session", { cache: "no-store" });
    return answer.status < 500;
  } catch {
    return false;
  }
}

export function LiveProvider({ children }: { children: ReactNode }) {
  const { env_id: envId = null } = useSession();
  const source = useMemo(
    () => streamSource({ transports: [webSocket(envId), serverSentEvents(envId)], isReachable }),
    [envId],
  );
  return <LiveContext value={source}>{children}</LiveContext>;
}

function useSource(): LiveSource {
  const source = useContext(LiveContext);
  if (source === null) throw new Error("the page is inside of LiveProvider");
  return source;
}

/**
 * Calls `changed`, which may return a promise, on changes of a topic while the component is shown. With more changes than a list can show, it calls
 * `counted` with the number of new things, and `changed` less often.
 */
export function useLive(topic: Topic, changed: () => unknown, counted?: (added: number) => void): void {
  const source = useSource();
  const latest = useRef({ changed, counted });
  useEffect(() => {
    latest.current = { changed, counted };
  });
  useEffect(
    () =>
      source.watch(
        topic,
        oneAtATime(() => latest.current.changed()),
        (added) => latest.current.counted?.(added),
      ),
    [source, topic],
  );
}

interface Live {
  state: LiveState;
  setPaused: (isPaused: boolean) => void;
  /** Whether changes are asked for every ten seconds, because no stream gets through. */
  isPolled: boolean;
}

/** Returns the state of the live updates, with the switch that pauses them. */
export function useLiveState(): Live {
  const source = useSource();
  const subscribe = (listener: () => void) => source.onState(listener);
  const state = useSyncExternalStore(subscribe, () => source.state());
  const isPolled = useSyncExternalStore(subscribe, () => source.isPolled());
  return { state, setPaused: (isPaused) => source.setPaused(isPaused), isPolled };
}

interface Trouble {
  dropped: number;
  outage: Outage | null;
  reload: () => void;
}

/** Returns what was left out, and how long nothing was heard. */
export function useLiveTrouble(): Trouble {
  const source = useSource();
  const subscribe = (listener: () => void) => source.onState(listener);
  const dropped = useSyncExternalStore(subscribe, () => source.dropped());
  const outage = useSyncExternalStore(subscribe, () => source.outage());
  const reload = () => {
    source.reload();
    void queryClient.resetQueries({ type: "active", predicate: ({ queryKey }) => queryKey[0] !== "session" });
  };
  return { dropped, outage, reload };
}
