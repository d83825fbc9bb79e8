/** Fields of the form of a notification channel, and what of them is sent. */
import type { Channel } from "@/api/alerts";
import type { Schemas } from "@/api/client";
import { objectOf } from "@/lib/json/json";
import { shortUrl } from "@/lib/words/ids";
import { type ChannelType, SETTINGS } from "./channel-types";

/** Value that the API shows in place of a secret. */
const HIDDEN = "***";

/** Fields of the form, as its inputs hold them. Addresses are separated by commas. */
export interface Fields {
  name: string;
  settings: Record<string, string>;
}

/** Returns the fields of a new channel. */
export function newFields(type: ChannelType, label: string): Fields {
  return { name: label, settings: Object.fromEntries(SETTINGS[type].map(({ name }) => [name, ""])) };
}

/** Returns the fields that a channel has. Secrets are not known, and stay empty. */
export function fieldsOf(channel: Channel): Fields {
  const config = objectOf(channel.config);
  const settings = SETTINGS[channel.channel_type as ChannelType].map(({ name }) => {
    const value = config[name];
    return [name, typeof value === "string" && value !== HIDDEN ? value : ""] as const;
  });
  return { name: channel.name, settings: Object.fromEntries(settings) };
}

/** Returns the names of the settings whose value is kept secret. */
export function hiddenOf(channel: Channel): string[] {
  return Object.entries(objectOf(channel.config))
    .filter(([, value]) => value === HIDDEN)
    .map(([name]) => name);
}

/** Returns the request that creates a channel. Settings that are empty are left out. */
export function requestOf(type: ChannelType, fields: Fields): Schemas["CreateChannel"] {
  const config = Object.entries(fields.settings)
    .map(([name, value]) => [name, value.trim()] as const)
    .filter(([, value]) => value !== "");
  return { name: fields.name.trim(), channel_type: type, config: Object.fromEntries(config) };
}

/** Returns the parts of a channel that differ from what it has. A setting that was emptied is removed. */
export function changesOf(now: Fields, before: Fields): Schemas["UpdateChannel"] {
  const config = Object.entries(now.settings)
    .filter(([name, value]) => value.trim() !== before.settings[name])
    .map(([name, value]) => [name, value.trim() === "" ? null : value.trim()] as const);
  return {
    ...(now.name.trim() === before.name ? {} : { name: now.name.trim() }),
    ...(config.length === 0 ? {} : { config: Object.fromEntries(config) }),
  };
}

/** Returns the addresses of a text that separates them by commas. */
export function addressesOf(text: string): string[] {
  return text.split(",").filter((address) => address !== "");
}

/** Returns where a channel leads, as far as it is not secret. */
export function addressWords(channel: Channel): string {
  const config = objectOf(channel.config);
  const text = (name: string) => String(config[name] ?? "");
  switch (channel.channel_type) {
    case "webhook":
      return shortUrl(text("url"));
    case "telegram":
      return `chat ${text("chat_id")}`;
    case "email":
      return addressesOf(text("to")).join(", ");
    case "pagerduty":
      return config["url"] ? `${shortUrl(text("url")).split("/")[0] ?? ""}, key ${MASK}` : `key ${MASK}`;
    default:
      return `URL ${MASK}`;
  }
}

const MASK = "••••••••";
