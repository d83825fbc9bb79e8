import { expect, test } from "vitest";
import type { AuditEntry } from "@/api/audit";
import { describeEntry } from "./audit-words";

type Fields = Record<string, unknown> | null;

const entry = (action: string, before: Fields, after: Fields): AuditEntry => ({
  id: "1",
  org_id: "o",
  created_at: "2026-11-29T14:10:00.000Z",
  actor: { kind: "person" },
  action,
  resource_type: action.split(".")[0] ?? "",
  before: (before as AuditEntry["before"]) ?? null,
  after: (after as AuditEntry["after"]) ?? null,
});

test.each([
  [
    entry("endpoint.update", { rate_limit_per_second: 40 }, { rate_limit_per_second: 4 }),
    "Endpoint rate limit 40 to 4",
  ],
  [entry("endpoint.update", { timeout_ms: null }, { timeout_ms: 5000 }), "Endpoint timeout none to 5000"],
  [
    entry("endpoint.update", { url: "https://a.example/a/rather/long/path" }, { url: "https://b.example" }),
    "Endpoint URL changed",
  ],
  [entry("application.create", null, { name: "Oakline Furniture" }), "Application Oakline Furniture created"],
  [entry("api_key.revoke", { name: "ci-deploy" }, null), "API key ci-deploy revoked"],
])("%#", (one, words) => expect(describeEntry(one)).toBe(words));
