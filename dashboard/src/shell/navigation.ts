/** Places of the application, in the order of the sidebar, with the keys that go there. */
import type { ComponentType } from "react";
import {
  IconApps,
  IconLayoutDashboard,
  IconListCheck,
  IconMail,
  IconSettings,
  IconStack2,
  IconTags,
  IconWebhook,
} from "@tabler/icons-react";

export interface Place {
  to: string;
  label: string;
  icon: ComponentType<{ size?: number; stroke?: number }>;
  keys?: string;
  isExact?: boolean;
}

export const OVERVIEW: Place = {
  to: "/dashboard",
  label: "Overview",
  icon: IconLayoutDashboard,
  keys: "g o",
  isExact: true,
};
export const MESSAGES: Place = { to: "/dashboard/messages", label: "Messages", icon: IconMail, keys: "g m" };
export const APPLICATIONS: Place = {
  to: "/dashboard/applications",
  label: "Applications",
  icon: IconApps,
  keys: "g a",
};
export const ENDPOINTS: Place = {
  to: "/dashboard/endpoints",
  label: "Endpoints",
  icon: IconWebhook,
  keys: "g e",
};
export const EVENT_TYPES: Place = {
  to: "/dashboard/event-types",
  label: "Event types",
  icon: IconTags,
  keys: "g t",
};
export const QUEUES: Place = {
  to: "/dashboard/queues",
  label: "Delivery queues",
  icon: IconStack2,
  keys: "g q",
};
export const JOBS: Place = { to: "/dashboard/jobs", label: "Jobs", icon: IconListCheck, keys: "g j" };
export const SETTINGS: Place = {
  to: "/dashboard/settings",
  label: "Settings",
  icon: IconSettings,
  keys: "g s",
};

/**
 * Groups of the sidebar. A group for inbound follows Outbound once it exists. Nodes are absent: no role reads them, only an
 * API key with the scope operator:nodes.
 */
export const GROUPS: { label: string; places: Place[] }[] = [
  { label: "Outbound", places: [MESSAGES, APPLICATIONS, ENDPOINTS, EVENT_TYPES] },
  { label: "Engine", places: [QUEUES, JOBS] },
];

export const PLACES: Place[] = [OVERVIEW, ...GROUPS.flatMap((group) => group.places), SETTINGS];
