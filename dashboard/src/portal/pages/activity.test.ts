import { expect, test } from "vitest";
import { LOCALES, loadCatalogue, wordsOf } from "../i18n";
import { en } from "../i18n/en";
import type { Activity } from "../api";
import { wordsOfEntry } from "./Activity";

const entry = (action: string, more: Partial<Activity> = {}): Activity => ({
  id: "1",
  created_at: "2026-11-29T12:00:00Z",
  action,
  endpoint: { id: "2", name: "Order sync", is_deleted: false },
  fields: [],
  status: null,
  disabled_reason: null,
  by: "portal",
  ...more,
});

test("an entry says what happened, and which fields changed", () => {
  const words = wordsOf("en", en);
  const check = (one: Activity, title: string, fields = "") =>
    expect(wordsOfEntry(one, words)).toEqual({ title, fields });
  check(entry("endpoint.create"), "Endpoint added");
  check(
    entry("endpoint.update", { fields: ["filter_types", "url"] }),
    "Endpoint changed",
    "event types, URL",
  );
  check(entry("endpoint.update", { fields: ["status"], status: "paused" }), "Endpoint paused");
  check(
    entry("endpoint.disable", { fields: ["status"], status: "disabled", disabled_reason: "gone" }),
    "Switched off, because your server answered 410 (Gone)",
  );
  // Fields of a later version keep their name, and an unknown action is a change.
  check(entry("endpoint.split", { fields: ["colour"] }), "Endpoint changed", "colour");
});

test.each(LOCALES)("fields are named in %s", async (locale) => {
  const words = wordsOf(locale, await loadCatalogue(locale));
  const fields = ["url", "description", "headers", "ordering", "ordering_key", "on_failure"];
  expect(wordsOfEntry(entry("endpoint.update", { fields }), words).fields).not.toMatch(/_|description/);
});
