import { expect, test } from "vitest";
import type { Backup, BackupList } from "@/api/operation";
import { nextAt, standingOf } from "./backup-words";

const backup = (created_at: string | null, error: string | null = null): Backup => ({
  name: created_at ?? "broken",
  created_at,
  error,
  bytes: 1,
  new_bytes: 1,
  days: 1,
  duration_ms: 1,
  version: "0.1.0",
  verified: true,
  includes_key: false,
});
const list = (backups: Backup[], failed_at: string | null = null): BackupList => ({
  backups,
  failed_at,
  failures: 0,
});
const NOW = new Date("2026-03-02T12:00:00Z");

test("the last backup is the newest that can be used", () => {
  const good = backup("2026-03-02T02:30:00Z");
  expect(standingOf(list([backup(null, "no manifest"), good]), NOW)).toEqual({
    last: good,
    isMissed: false,
    isFailing: false,
  });
  expect(standingOf(list([]), NOW)).toEqual({ last: undefined, isMissed: false, isFailing: false });
});

test("a backup older than a day was missed", () => {
  expect(standingOf(list([backup("2026-03-01T02:30:00Z")]), NOW).isMissed).toBe(true);
});

test("a failure counts until a backup succeeds", () => {
  const good = backup("2026-03-02T02:30:00Z");
  expect(standingOf(list([good], "2026-03-02T03:00:00Z"), NOW).isFailing).toBe(true);
  expect(standingOf(list([good], "2026-03-02T02:00:00Z"), NOW).isFailing).toBe(false);
  expect(standingOf(list([], "2026-03-02T02:00:00Z"), NOW).isFailing).toBe(true);
});

test("the next backup is today or tomorrow, in UTC", () => {
  expect(nextAt("02:30", NOW).toISOString()).toBe("2026-03-03T02:30:00.000Z");
  expect(nextAt("23:05", NOW).toISOString()).toBe("2026-03-02T23:05:00.000Z");
});
