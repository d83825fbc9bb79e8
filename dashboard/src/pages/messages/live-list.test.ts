import { expect, test } from "vitest";
import type { Message } from "@/api/messages";
import { freshWords, joined } from "./live-list";

const message = (id: string, status: Message["status"]) => ({ id, status }) as Message;

test("new rows are counted and not inserted; shown rows change in place", () => {
  const shown = [message("b", "pending"), message("a", "pending")];
  const newest = [message("c", "pending"), message("b", "delivered")];
  expect(joined(shown, newest)).toEqual({
    rows: [message("b", "delivered"), message("a", "pending")],
    fresh: 1,
  });
  expect(joined([], newest).fresh).toBe(0);
});

test("the pill counts up to 99", () => {
  expect(freshWords(1)).toBe("1 new message");
  expect(freshWords(100)).toBe("99+ new messages");
});
