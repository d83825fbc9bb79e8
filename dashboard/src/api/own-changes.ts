/** Changes that this tab makes: a change that the live stream reports meanwhile or shortly after is its own. */

const SETTLES_MS = 5_000;

/** Time at which the last change of a resource ended; infinite while one runs. */
const ended = new Map<string, number>();

/** Notes that a request changes a resource. */
export function own<T>(id: string, change: Promise<T>): Promise<T> {
  ended.set(id, Number.POSITIVE_INFINITY);
  return change.finally(() => ended.set(id, Date.now()));
}

/** Returns whether this tab changes a resource, or has just done so. */
export function isOwnChange(id: string, now: number): boolean {
  return now - (ended.get(id) ?? Number.NEGATIVE_INFINITY) < SETTLES_MS;
}
