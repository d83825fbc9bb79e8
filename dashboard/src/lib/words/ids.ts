/** Ids: 32 lower-case hex characters, sorted by time. */

const ID = /^(?:[a-z]+_)?([0-9a-f]{32})$/;

/** Returns the first 6 and the last 8 characters. Neighbours differ only at the end. */
export function shortId(id: string): string {
  return id.length <= 16 ? id : `${id.slice(0, 6)}…${id.slice(-8)}`;
}

/** Returns the id in a text that somebody pasted, without its prefix, or null if it is none. */
export function parseId(text: string): string | null {
  return ID.exec(text.trim().toLowerCase())?.[1] ?? null;
}

/** Returns an address without its scheme, for reading. */
export function shortUrl(url: string): string {
  return url.replace(/^https?:\/\//, "").replace(/\/$/, "");
}
