/** Source of live updates: what pages watch, and the state of the connection that it comes from. */

/** State of the connection, as the top bar shows it. */
export type LiveState = "live" | "paused" | "reconnecting";

/** Part of the environment that a page watches. */
export type Topic = "messages" | "attempts" | "endpoints" | "jobs" | "lanes";

export const TOPICS: Topic[] = ["messages", "attempts", "endpoints", "jobs", "lanes"];

/** Time for which nothing was heard, and when the next attempt to connect begins. */
export interface Outage {
  since: number;
  /** Null while an attempt is under way. */
  retryAt: number | null;
}

/** Source of changes. One is shared by all pages of a tab. */
export interface LiveSource {
  state(): LiveState;
  onState(listener: () => void): () => void;
  setPaused(isPaused: boolean): void;
  /**
   * Calls `changed` whenever something of the topic may have changed, at most once a second, until the returned function
   * is called. While there is more than a list can show, it calls `counted` each second with the number of new things,
   * and `changed` every ten seconds.
   */
  watch(topic: Topic, changed: () => void, counted?: (added: number) => void): () => void;
  /** Whether changes are asked for, because no stream gets through. */
  isPolled(): boolean;
  /** Changes that were left out since the last reload. */
  dropped(): number;
  /** Tells every watcher, and forgets what was left out. */
  reload(): void;
  outage(): Outage | null;
}
