/**
 * Live updates over one connection of the tab: a WebSocket, else server-sent events, else a poll. A hidden tab has no
 * connection, and catches up when it is seen.
 */
import { type LiveSource, type LiveState, type Outage, type Topic, TOPICS } from "./source";
import { Pace, POLL_MS } from "./throttle";
import type { Connection, Frame, Transport } from "./transports";

/** Channels of a topic. Lanes have none and are polled. */
const CHANNELS: Record<Topic, string[]> = {
  messages: ["messages", "attempts"],
  attempts: ["attempts"],
  endpoints: ["endpoints"],
  jobs: ["jobs"],
  lanes: [],
};

/** Topics that a frame concerns. */
const TOPICS_OF: Record<string, Topic[]> = {
  message: ["messages"],
  delivery: ["messages", "attempts"],
  endpoint: ["endpoints"],
  job: ["jobs"],
};

/** Topics with figures that change without a frame. */
const FIGURES: Topic[] = ["lanes", "endpoints"];

const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 30_000;
/** Time after which streams are tried again where none got through. */
const STREAM_AGAIN_MS = 120_000;
/** A connection that comes back within this time is not worth a word. */
const GRACE_MS = 1000;
/** Time for which a connection stays without a watcher, as between two pages. */
const IDLE_MS = 1000;

interface Options {
  /** Ways to connect, the best one first. */
  transports: Transport[];
  /** Returns whether the server answers at all. */
  isReachable: () => Promise<boolean>;
  random?: () => number;
}

export function streamSource({ transports, isReachable, random = Math.random }: Options): LiveSource {
  const paces = new Map(TOPICS.map((topic) => [topic, new Pace(topic)]));
  const listeners = new Set<() => void>();
  let connection: Connection | null = null;
  /** Number of the current connection; what an older one still says does not count. */
  let turn = 0;
  let isWelcome = false;
  /** Whether the stream misses events of other nodes. */
  let isPartial = false;
  let isPaused = false;
  let isPolled = false;
  let isRunning = false;
  let failures = 0;
  let dropped = 0;
  let outage: Outage | null = null;
  /** Whether the outage is worth a word. */
  let isOut = false;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let grace: ReturnType<typeof setTimeout> | undefined;
  let idle: ReturnType<typeof setTimeout> | undefined;
  let poll: ReturnType<typeof setInterval> | undefined;

  const notify = () => {
    for (const listener of listeners) listener();
  };
  const read = (topics: Topic[]) => {
    for (const topic of topics) paces.get(topic)?.read();
  };
  const isWatched = () => [...paces.values()].some((pace) => pace.watchers.size > 0);
  const wanted = () =>
    new Set([...paces.values()].flatMap((pace) => (pace.watchers.size > 0 ? CHANNELS[pace.topic] : [])));

  function hear(frame: Frame): void {
    if (frame.type === "welcome") {
      const isBack = outage !== null || isPolled;
      isWelcome = true;
      isPartial = frame.reach === "node";
      isPolled = false;
      failures = 0;
      recovered();
      // What happened without a connection was not heard.
      if (isBack) read(TOPICS);
    } else if (frame.type === "gap") {
      dropped += frame.dropped ?? 0;
      for (const pace of paces.values()) pace.add(false);
      notify();
    } else {
      for (const topic of TOPICS_OF[frame.type] ?? []) paces.get(topic)?.add(frame.type === "message");
    }
  }

  function recovered(): void {
    clearTimeout(grace);
    outage = null;
    isOut = false;
    notify();
  }

  /** Notes that nothing is heard, and connects after a time. */
  function lost(waitMs: number): void {
    const now = Date.now();
    if (outage === null) {
      grace = setTimeout(() => {
        isOut = true;
        notify();
      }, GRACE_MS);
    }
    outage = { since: outage?.since ?? now, retryAt: now + waitMs };
    retryIn(waitMs);
    notify();
  }

  function retryIn(waitMs: number): void {
    clearTimeout(retry);
    retry = setTimeout(() => connect(0), waitMs);
  }

  function growingWait(): number {
    const wait = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
    failures += 1;
    // Half of it is left to chance, so that the tabs of a server that comes back do not come all at once.
    return wait / 2 + (wait / 2) * random();
  }

  /** Tries one way to connect, and the next one if it does not open. */
  function connect(index: number): void {
    const transport = transports[index];
    turn += 1;
    const mine = turn;
    isWelcome = false;
    connection = null;
    if (outage !== null) outage = { since: outage.since, retryAt: null };
    notify();
    if (transport === undefined) {
      void isReachable().then((answers) => {
        if (mine === turn && isRunning) fallBack(answers);
      });
      return;
    }
    const opened = transport(
      (frame) => {
        if (mine === turn) hear(frame);
      },
      () => {
        if (mine !== turn) return;
        connection = null;
        if (isWelcome) lost(growingWait());
        else connect(index + 1);
      },
    );
    connection = opened;
    opened.listen(wanted());
  }

  /** Polls a server that answers but lets no stream through; waits for one that does not answer. */
  function fallBack(answers: boolean): void {
    if (!answers) {
      isPolled = false;
      lost(growingWait());
      return;
    }
    const isBack = outage !== null;
    isPolled = true;
    recovered();
    retryIn(STREAM_AGAIN_MS);
    if (isBack) read(TOPICS);
  }

  /** Reads everything, if the server still answers. */
  function pollOnce(): void {
    const mine = turn;
    void isReachable().then((answers) => {
      if (mine !== turn || !isPolled) return;
      if (answers) read(TOPICS);
      else fallBack(false);
    });
  }

  function disconnect(): void {
    turn += 1;
    connection?.close();
    connection = null;
    isWelcome = false;
    clearTimeout(retry);
    clearTimeout(grace);
    clearInterval(poll);
    outage = null;
    isOut = false;
    for (const pace of paces.values()) pace.stop();
  }

  /** Begins or ends, by whether somebody watches, the tab is seen, and updates are not paused. */
  function run(): void {
    const shouldRun = isWatched() && !isPaused && !document.hidden;
    if (shouldRun === isRunning) return;
    isRunning = shouldRun;
    if (!shouldRun) return disconnect();
    poll = setInterval(() => {
      if (isPolled) pollOnce();
      else if (isWelcome) read(isPartial ? TOPICS : FIGURES);
    }, POLL_MS);
    failures = 0;
    lost(0);
  }

  function state(): LiveState {
    if (isPaused) return "paused";
    return isOut ? "reconnecting" : "live";
  }

  return {
    state,
    onState(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    setPaused(paused) {
      isPaused = paused;
      run();
      notify();
    },
    watch(topic, changed, counted) {
      const watcher = { changed, counted };
      if (!isWatched()) document.addEventListener("visibilitychange", run);
      paces.get(topic)?.watchers.add(watcher);
      clearTimeout(idle);
      run();
      connection?.listen(wanted());
      return () => {
        const pace = paces.get(topic);
        pace?.watchers.delete(watcher);
        if (pace?.watchers.size === 0) pace.stop();
        clearTimeout(idle);
        idle = setTimeout(() => {
          run();
          connection?.listen(wanted());
          if (!isWatched()) document.removeEventListener("visibilitychange", run);
        }, IDLE_MS);
      };
    },
    isPolled: () => isPolled,
    dropped: () => dropped,
    reload() {
      dropped = 0;
      read(TOPICS);
      notify();
    },
    outage: () => (isOut ? outage : null),
  };
}
