/** Views of the list of messages: those that everybody has, and a user's own, which only this browser keeps. */
import { formatFilters, type Filters } from "@/lib/filters";

export interface MessageView {
  name: string;
  label: string;
  /** Filters as they stand in the URL. */
  search: Record<string, string>;
  isOwn?: boolean;
}

const BUILT_IN: MessageView[] = [
  { name: "all", label: "All messages", search: {} },
  { name: "failed", label: "Failed", search: { status: "failed" } },
  { name: "pending", label: "Pending", search: { status: "pending" } },
  { name: "skipped", label: "Skipped", search: { status: "skipped" } },
  { name: "hour", label: "Last hour", search: { since: "1h" } },
];

const KEY = "hookstream.message-views";
const MAX_VIEWS = 12;

/** Returns all views: built in first. A stored text that is no list of views counts as none. */
export function viewsOf(stored: string | null): MessageView[] {
  return [...BUILT_IN, ...ownViews(stored)];
}

function ownViews(stored: string | null): MessageView[] {
  try {
    const list: unknown = JSON.parse(stored ?? "[]");
    return Array.isArray(list) ? list.filter(isView).map((view) => ({ ...view, isOwn: true })) : [];
  } catch {
    return [];
  }
}

function isView(value: unknown): value is MessageView {
  const view = value as MessageView | null;
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

export function readViews(): string | null {
  return localStorage.getItem(KEY);
}

/** Stores a view of one's own under a name, in place of the one with that name. */
export function withView(stored: string | null, label: string, filters: Filters): string {
  const others = ownViews(stored).filter((view) => view.label !== label);
  const view = { name: `own ${label}`, label, search: formatFilters(filters) };
  return JSON.stringify([...others, view].slice(-MAX_VIEWS));
}

export function withoutView(stored: string | null, name: string): string {
  return JSON.stringify(ownViews(stored).filter((view) => view.name !== name));
}

export function writeViews(text: string): void {
  localStorage.setItem(KEY, text);
}
