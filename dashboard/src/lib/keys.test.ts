import { expect, test } from "vitest";
import { isTyping, KeyDispatcher, keyName, type KeyBinding } from "./keys";

const press = (key: string, modifiers: Partial<Record<"shiftKey" | "ctrlKey", boolean>> = {}) => ({
  key,
  shiftKey: false,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  ...modifiers,
});
const binding = (keys: string): KeyBinding => ({ keys, label: keys, run: () => undefined });

test("a key with a modifier of the browser has no name", () => {
  expect(keyName(press("r", { ctrlKey: true }))).toBeNull();
  expect(keyName(press("R", { shiftKey: true }))).toBe("⇧R");
  expect(keyName(press("?", { shiftKey: true }))).toBe("?");
});

test("a sequence needs both keys in time", () => {
  const keys = new KeyDispatcher();
  const bindings = [binding("g m"), binding("m")];
  expect(keys.press(press("g"), bindings, 0)).toBeNull();
  expect(keys.press(press("m"), bindings, 500)?.keys).toBe("g m");
  expect(keys.press(press("g"), bindings, 1000)).toBeNull();
  expect(keys.press(press("m"), bindings, 5000)?.keys).toBe("m");
});

test("a later binding wins over an earlier one", () => {
  const later = binding("r");
  expect(new KeyDispatcher().press(press("r"), [binding("r"), later], 0)).toBe(later);
});

test("keys belong to a field with the focus", () => {
  expect(isTyping(document.createElement("input"))).toBe(true);
  expect(isTyping(document.createElement("button"))).toBe(false);
});
