import { expect, test } from "vitest";
import type { Channel } from "@/api/alerts";
import { addressWords, changesOf, fieldsOf, hiddenOf, newFields, requestOf } from "./channel-fields";

const channel = (channel_type: string, config: Record<string, string>): Channel => ({
  id: "c",
  org_id: "o",
  env_id: "e",
  name: "On call",
  channel_type,
  config: JSON.stringify(config),
  enabled: 1,
  error_count: 0,
  created_at: "2026-11-29T14:10:00.000Z",
  updated_at: "2026-11-29T14:10:00.000Z",
});

test("a new channel is sent with the settings that are filled in", () => {
  const fields = newFields("webhook", "Webhook");
  const filled = { ...fields, settings: { ...fields.settings, url: " https://hooks.example.com/alerts " } };
  expect(requestOf("webhook", filled)).toEqual({
    name: "Webhook",
    channel_type: "webhook",
    config: { url: "https://hooks.example.com/alerts" },
  });
});

test("a secret is neither shown nor sent again", () => {
  const telegram = channel("telegram", { bot_token: "***", chat_id: "-100" });
  const before = fieldsOf(telegram);
  expect(before).toEqual({ name: "On call", settings: { bot_token: "", chat_id: "-100" } });
  expect(hiddenOf(telegram)).toEqual(["bot_token"]);
  expect(changesOf(before, before)).toEqual({});
  expect(changesOf({ ...before, settings: { ...before.settings, chat_id: "-200" } }, before)).toEqual({
    config: { chat_id: "-200" },
  });
});

test("a setting that was emptied is removed", () => {
  const before = fieldsOf(
    channel("pagerduty", { routing_key: "***", url: "https://events.eu.pagerduty.com/v2/enqueue" }),
  );
  expect(changesOf({ ...before, settings: { routing_key: "R1", url: "" } }, before)).toEqual({
    config: { routing_key: "R1", url: null },
  });
});

test.each([
  ["webhook", { url: "https://hooks.example.com/alerts" }, "hooks.example.com/alerts"],
  ["slack", { url: "***" }, "URL ••••••••"],
  ["pagerduty", { routing_key: "***" }, "key ••••••••"],
  ["telegram", { bot_token: "***", chat_id: "-100" }, "chat -100"],
  ["email", { to: "a@example.com,b@example.com" }, "a@example.com, b@example.com"],
])("address of a channel of the type %s", (type, config, words) => {
  expect(addressWords(channel(type, config))).toBe(words);
});
