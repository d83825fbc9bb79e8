/** Views of the list of messages: those that everybody has, those on the server, and earlier ones of this browser. */
import type { NewView, View } from "@/api/views";
import { formatFilters, type Filters } from "@/lib/filters";

/** List that these views filter, as the server calls it. */
export const PAGE = "messages";

/** Where a view is kept, and who sees it. */
export type ViewKind = "built-in" | "own" | "shared" | "browser";

export interface MessageView {
  /** Word that tells the views apart. */
  name: string;
  label: string;
  /** Filters as they stand in the URL. */
  search: Record<string, string>;
  kind: ViewKind;
  /** Id on the server. */
  id?: string;
  /** Whether the user created it. */
  isMine?: boolean;
}

const builtIn = (name: string, label: string, search: Record<string, string>): MessageView => ({
  name,
  label,
  search,
  kind: "built-in",
});

const BUILT_IN: MessageView[] = [
  builtIn("all", "All messages", {}),
  builtIn("failed", "Failed", { status: "failed" }),
  builtIn("pending", "Pending", { status: "pending" }),
  builtIn("skipped", "Skipped", { status: "skipped" }),
  builtIn("hour", "Last hour", { since: "1h" }),
];

/** Key of the views that earlier versions kept in this browser. New ones are on the server. */
const KEY = "hookstream.message-views";

/** Returns all views: built in first, then those of the server, then those that are still in this browser. */
export function viewsOf(views: View[], userId: string, stored: string | null): MessageView[] {
  return [...BUILT_IN, ...views.map((view) => ofServer(view, userId)), ...ofBrowser(stored)];
}

function ofServer(view: View, userId: string): MessageView {
  return {
    name: view.id,
    label: view.name,
    search: textsOf(view.filters),
    kind: view.shared === 1 ? "shared" : "own",
    id: view.id,
    isMine: view.owner_id === userId,
  };
}

/** Returns the filters of a stored view. A text that is no object counts as none. */
function textsOf(json: string): Record<string, string> {
  try {
    const value: unknown = JSON.parse(json);
    const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
    return Object.fromEntries(
      entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
    );
  } catch {
    return {};
  }
}

/** Returns the views in this browser. A stored text that is no list of views counts as none. */
function ofBrowser(stored: string | null): MessageView[] {
  try {
    const list: unknown = JSON.parse(stored ?? "[]");
    return Array.isArray(list) ? list.filter(isStored).map((view) => ({ ...view, kind: "browser" })) : [];
  } catch {
    return [];
  }
}

type StoredView = Pick<MessageView, "name" | "label" | "search">;

function isStored(value: unknown): value is StoredView {
  const view = value as StoredView | null;
  return typeof view?.name === "string" && typeof view.label === "string" && typeof view.search === "object";
}

/** Returns the view with exactly these filters. */
export function viewOf(filters: Filters, views: MessageView[]): MessageView | undefined {
  const wanted = textOf(formatFilters(filters));
  return views.find((view) => textOf(view.search) === wanted);
}

/** Returns the filters of a view. */
export function filtersOf(view: MessageView): Filters {
  return Object.fromEntries(Object.entries(view.search).map(([field, text]) => [field, text.split(",")]));
}

function textOf(search: Record<string, string>): string {
  return JSON.stringify(Object.entries(search).sort());
}

/** Returns a new view as the server takes it. */
export function newView(label: string, search: Record<string, string>, isShared: boolean): NewView {
  return { name: label, page: PAGE, filters: search, shared: isShared ? 1 : 0 };
}

/** Returns the user's own view with this name, which saving under the same name replaces. */
export function sameOwn(label: string, views: MessageView[]): MessageView | undefined {
  return views.find((view) => view.kind === "own" && view.label === label);
}

export function readBrowserViews(): string | null {
  return localStorage.getItem(KEY);
}

/** Returns the text of this browser's views without one; null if none is left. */
export function withoutBrowserView(stored: string | null, name: string): string | null {
  const left = ofBrowser(stored).filter((view) => view.name !== name);
  return left.length === 0
    ? null
    : JSON.stringify(left.map(({ name, label, search }) => ({ name, label, search })));
}

export function writeBrowserViews(text: string | null): void {
  if (text === null) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, text);
}
