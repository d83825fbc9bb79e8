/** Types of notification channels: their names, icons, and the fields of their settings with where to find each value. */
import {
  IconBrandDiscord,
  IconBrandSlack,
  IconBrandTeams,
  IconBrandTelegram,
  IconMail,
  IconUrgent,
  IconWebhook,
} from "@tabler/icons-react";
import type { Choice } from "../TypeChoice";

export type ChannelType = "webhook" | "slack" | "discord" | "teams" | "pagerduty" | "telegram" | "email";

export const CHANNEL_TYPES: (Choice & { value: ChannelType })[] = [
  { value: "slack", label: "Slack", text: "A message in a channel.", icon: IconBrandSlack },
  { value: "teams", label: "Microsoft Teams", text: "A card in a channel or chat.", icon: IconBrandTeams },
  { value: "discord", label: "Discord", text: "A message in a channel.", icon: IconBrandDiscord },
  { value: "telegram", label: "Telegram", text: "A message of your bot in a chat.", icon: IconBrandTelegram },
  {
    value: "pagerduty",
    label: "PagerDuty",
    text: "An incident per rule, resolved when its alerts are.",
    icon: IconUrgent,
  },
  { value: "email", label: "Email", text: "A mail to up to 20 addresses.", icon: IconMail },
  { value: "webhook", label: "Webhook", text: "Signed JSON to your own program.", icon: IconWebhook },
];

export const NO_MAIL = "This installation has no mail server. Its operator sets smtp_url and mail_from.";

/** Setting of a channel, as its input shows it. */
export interface SettingField {
  /** Name in `config`. */
  name: string;
  label: string;
  /** Where to find the value. */
  description: string;
  placeholder?: string;
  kind: "url" | "secret" | "text" | "addresses" | "region";
  isOptional?: boolean;
  /** True if the value can only be given when the channel is created. */
  isOnlyNew?: boolean;
}

/** Settings of each type, in the order of the form. */
export const SETTINGS: Record<ChannelType, SettingField[]> = {
  webhook: [
    {
      name: "url",
      label: "URL",
      description: "Address of your program.",
      placeholder: "https://hooks.example.com/alerts",
      kind: "url",
    },
    {
      name: "secret",
      label: "Signing secret",
      description: "Optional: whsec_…, or 24 to 64 characters. Empty means that one is generated.",
      kind: "secret",
      isOptional: true,
      isOnlyNew: true,
    },
  ],
  slack: [
    {
      name: "url",
      label: "Webhook URL",
      description: "In Slack: your app, Incoming Webhooks, Add New Webhook to Workspace.",
      placeholder: "https://hooks.slack.com/services/…",
      kind: "url",
    },
  ],
  discord: [
    {
      name: "url",
      label: "Webhook URL",
      description: "In Discord: Edit Channel, Integrations, Webhooks, Copy Webhook URL.",
      placeholder: "https://discord.com/api/webhooks/…",
      kind: "url",
    },
  ],
  teams: [
    {
      name: "url",
      label: "Workflow URL",
      description:
        "In Teams: the channel's Workflows, with the trigger “When a Teams webhook request is received”.",
      placeholder: "https://….logic.azure.com/workflows/…",
      kind: "url",
    },
  ],
  pagerduty: [
    {
      name: "routing_key",
      label: "Integration key",
      description: "In PagerDuty: the service, Integrations, Events API V2.",
      kind: "secret",
    },
    { name: "url", label: "Region", description: "Region of your PagerDuty account.", kind: "region" },
  ],
  telegram: [
    {
      name: "bot_token",
      label: "Bot token",
      description: "In Telegram: @BotFather, /newbot or /token.",
      placeholder: "123456:ABC-DEF…",
      kind: "secret",
    },
    {
      name: "chat_id",
      label: "Chat id",
      description: "Id of the chat that the bot is in, or @ and the name of a channel.",
      placeholder: "-1001234567890",
      kind: "text",
    },
  ],
  email: [
    {
      name: "to",
      label: "Addresses",
      description: "Enter adds an address; at most 20.",
      placeholder: "oncall@example.com",
      kind: "addresses",
    },
  ],
};

/** Regions of PagerDuty by the URL that the channel has; the default needs none. */
export const PAGERDUTY_REGIONS = [
  { value: "", label: "US" },
  { value: "https://events.eu.pagerduty.com/v2/enqueue", label: "EU" },
];

/** Returns the type of a channel; the last one, a webhook, for a type that is not known. */
export function typeOf(word: string): Choice & { value: ChannelType } {
  const last = CHANNEL_TYPES[CHANNEL_TYPES.length - 1] as Choice & { value: ChannelType };
  return CHANNEL_TYPES.find((one) => one.value === word) ?? { ...last, label: word };
}
