import { expect, test } from "vitest";
import type { View } from "@/api/views";
import { newView, sameOwn, viewOf, viewsOf, withoutBrowserView } from "./views";

const ADA = "0198c0de00007000800000000000000a";

function view(name: string, filters: string, more: Partial<View> = {}): View {
  return {
    id: `id of ${name}`,
    org_id: "o",
    env_id: "e",
    name,
    page: "messages",
    filters,
    shared: 0,
    owner_id: ADA,
    created_at: "2026-11-29T12:00:00.000Z",
    updated_at: "2026-11-29T12:00:00.000Z",
    ...more,
  };
}

test("a view of the server is found by its filters, in any order", () => {
  const views = viewsOf([view("Acme, failed", '{"status":"failed","application_id":"a"}')], ADA, null);
  const filters = { application_id: ["a"], status: ["failed"] };
  expect(viewOf(filters, views)).toMatchObject({ label: "Acme, failed", kind: "own", isMine: true });
  expect(viewOf({ status: ["failed"] }, views)?.name).toBe("failed");
  expect(viewOf({ status: ["skipped", "failed"] }, views)).toBeUndefined();
});

test("a shared view is told from an own one, and mine from another user's", () => {
  const shared = [
    view("Ours", "{}", { shared: 1, owner_id: "other" }),
    view("Of a key", "{}", { shared: 1, owner_id: null }),
    view("Mine, shared", "{}", { shared: 1 }),
  ];
  const found = viewsOf(shared, ADA, null).slice(-3);
  expect(found.map((one) => [one.kind, one.isMine])).toEqual([
    ["shared", false],
    ["shared", false],
    ["shared", true],
  ]);
  expect(sameOwn("Mine, shared", found)).toBeUndefined();
  expect(sameOwn("Mine", viewsOf([view("Mine", "{}")], ADA, null))?.id).toBe("id of Mine");
});

test("filters that are no object of texts count as none", () => {
  const filters = ["{", "[]", "null", '{"status":1}'];
  const views = viewsOf(
    filters.map((text, at) => view(String(at), text)),
    ADA,
    null,
  ).slice(-4);
  expect(views.map((one) => one.search)).toEqual([{}, {}, {}, {}]);
});

test("views of earlier versions stay readable until they are moved or removed", () => {
  const stored = JSON.stringify([
    { name: "own A", label: "A", search: { status: "failed", event_type: "a,b" } },
    { name: "own B", label: "B", search: {} },
  ]);
  const views = viewsOf([], ADA, stored);
  expect(viewOf({ event_type: ["a", "b"], status: ["failed"] }, views)).toMatchObject({
    label: "A",
    kind: "browser",
  });
  const left = withoutBrowserView(stored, "own A");
  expect(
    viewsOf([], ADA, left)
      .filter((one) => one.kind === "browser")
      .map((one) => one.label),
  ).toEqual(["B"]);
  expect(withoutBrowserView(left, "own B")).toBeNull();
});

test("a stored text that is no list counts as none", () => {
  const none = viewsOf([], ADA, null).length;
  expect(viewsOf([], ADA, "{").length).toBe(none);
  expect(viewsOf([], ADA, '[{"name":1}]').length).toBe(none);
});

test("a new view names its page and whether it is shared", () => {
  expect(newView("A", { status: "failed" }, true)).toEqual({
    name: "A",
    page: "messages",
    filters: { status: "failed" },
    shared: 1,
  });
});
