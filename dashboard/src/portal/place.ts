/** Place in the portal: the fragment of the address, such as `#/messages?status=failed`. Back and forward work by themselves. */
import { useMemo, useSyncExternalStore } from "react";

export interface Place {
  /** Parts of the path. */
  path: string[];
  query: URLSearchParams;
}

export function placeOf(fragment: string): Place {
  const [path = "", query = ""] = fragment.replace(/^#/, "").split("?", 2);
  const parts = path.split("/").filter((part) => part !== "");
  return { path: parts.map((part) => decodeURIComponent(part)), query: new URLSearchParams(query) };
}

/** Returns the fragment of a place. Values that are empty are left out. */
export function hrefOf(path: string[], query: Record<string, string | undefined> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const search = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search === "" ? "" : `?${search}`}`;
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}

export function usePlace(): Place {
  const fragment = useSyncExternalStore(subscribe, () => location.hash);
  return useMemo(() => placeOf(fragment), [fragment]);
}

/** Goes to a place. `isReplaced` leaves no entry in the history, as a filter that is being typed. */
export function goTo(href: string, isReplaced = false): void {
  if (isReplaced) {
    history.replaceState(null, "", href);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = href;
  }
}
