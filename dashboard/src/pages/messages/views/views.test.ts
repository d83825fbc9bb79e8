import { expect, test } from "vitest";
import { viewOf, viewsOf, withoutView, withView } from "./views";

test("a view of one's own is stored with its filters and found again", () => {
  const filters = { status: ["failed"], application_id: ["a"] };
  const stored = withView(null, "Haverbrook, failed", filters);
  const views = viewsOf(stored);
  expect(viewOf(filters, views)).toMatchObject({ label: "Haverbrook, failed", isOwn: true });
  expect(viewOf({ application_id: ["a"], status: ["failed"] }, views)?.isOwn).toBe(true);
  expect(viewOf({ status: ["failed"] }, views)?.name).toBe("failed");
  expect(viewOf({ status: ["skipped", "failed"] }, views)).toBeUndefined();
  expect(viewsOf(withoutView(stored, "own Haverbrook, failed")).some((view) => view.isOwn)).toBe(false);
});

test("a stored text that is no list counts as none", () => {
  expect(viewsOf("{").length).toBe(viewsOf(null).length);
  expect(viewsOf('[{"name":1}]').length).toBe(viewsOf(null).length);
});
