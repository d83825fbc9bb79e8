import { expect, test } from "vitest";
import { own } from "@/api/own-changes";
import { isChangedElsewhere } from "./changed-elsewhere";

const seen = (updated_at: string, disabled_reason: "gone" | null = null, id = "e1") => ({
  id,
  updated_at,
  disabled_reason,
});

test("changes of others are told, those of this tab and of the engine are not", async () => {
  const now = Date.now();
  expect(isChangedElsewhere(undefined, seen("10:00"), now)).toBe(false);
  expect(isChangedElsewhere(seen("10:00"), seen("10:00"), now)).toBe(false);
  expect(isChangedElsewhere(seen("10:00"), seen("10:01", null, "e2"), now)).toBe(false);
  expect(isChangedElsewhere(seen("10:00"), seen("10:01", "gone"), now)).toBe(false);
  expect(isChangedElsewhere(seen("10:00"), seen("10:01"), now)).toBe(true);
  expect(isChangedElsewhere(seen("10:00", "gone"), seen("10:01"), now)).toBe(true);
  await own("e1", Promise.resolve());
  expect(isChangedElsewhere(seen("10:00"), seen("10:01"), Date.now())).toBe(false);
});
