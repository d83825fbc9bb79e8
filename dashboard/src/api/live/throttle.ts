/** Pace at which watchers of one topic are told. */
import type { Topic } from "./source";

/** Watchers are told at most once in this time. */
export const TELL_MS = 1000;
/** Changes a second above which lists only count. */
export const BUSY = 50;
/** Interval of the poll, and of reading while there is more than a list can show. */
export const POLL_MS = 10_000;

export interface Watcher {
  changed: () => void;
  counted: ((added: number) => void) | undefined;
}

/** Collects the changes of a topic and tells its watchers. */
export class Pace {
  readonly topic: Topic;
  readonly watchers = new Set<Watcher>();
  private changes = 0;
  private added = 0;
  /** Whether something changed that the watchers have not read. */
  private isStale = false;
  private toldAt = -Infinity;
  private readAt = -Infinity;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(topic: Topic) {
    this.topic = topic;
  }

  /** Takes one change; `isNew` if it is a thing that was not there before. */
  add(isNew: boolean): void {
    if (this.watchers.size === 0) return;
    this.changes += 1;
    if (isNew) this.added += 1;
    this.isStale = true;
    this.plan();
  }

  /** Tells every watcher now. */
  read(): void {
    this.stop();
    this.toldAt = this.readAt = Date.now();
    for (const watcher of this.watchers) watcher.changed();
  }

  /** Forgets what was collected. */
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.changes = this.added = 0;
    this.isStale = false;
  }

  private plan(): void {
    this.timer ??= setTimeout(() => this.tell(), Math.max(0, this.toldAt + TELL_MS - Date.now()));
  }

  private tell(): void {
    this.timer = undefined;
    const now = Date.now();
    if (this.changes <= BUSY || now - this.readAt >= POLL_MS) return this.read();
    for (const watcher of this.watchers) if (this.added > 0) watcher.counted?.(this.added);
    this.toldAt = now;
    this.changes = this.added = 0;
    // What was only counted is read as soon as it is calm.
    if (this.isStale) this.plan();
  }
}
