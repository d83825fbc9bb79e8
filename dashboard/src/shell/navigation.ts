/** Places of the application, in the order of the sidebar, with the keys that go there. */
import type { ComponentType } from "react";
import {
  IconActivity,
  IconApps,
  IconBell,
  IconBroadcast,
  IconDatabaseExport,
  IconLayoutDashboard,
  IconListCheck,
  IconMail,
  IconServer2,
  IconSettings,
  IconStack2,
  IconTags,
  IconWebhook,
} from "@tabler/icons-react";
import { may, type Permission, type Role } from "@/lib/permissions";

export interface Place {
  to: string;
  label: string;
  icon: ComponentType<{ size?: number; stroke?: number }>;
  keys?: string;
  isExact?: boolean;
  /** Permission without which the place is absent. */
  needs?: Permission;
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
export const NODES: Place = {
  to: "/dashboard/nodes",
  label: "Nodes",
  icon: IconServer2,
  keys: "g n",
  needs: "nodes:read",
};
export const ALERTS: Place = { to: "/dashboard/alerts", label: "Alerts", icon: IconBell, keys: "g l" };
export const OPERATIONAL_WEBHOOKS: Place = {
  to: "/dashboard/operational-webhooks",
  label: "Operational webhooks",
  icon: IconBroadcast,
  keys: "g w",
};
export const BACKUPS: Place = {
  to: "/dashboard/backups",
  label: "Backups",
  icon: IconDatabaseExport,
  keys: "g b",
  needs: "backups:read",
};
export const MONITORING: Place = {
  to: "/dashboard/monitoring",
  label: "Monitoring",
  icon: IconActivity,
  keys: "g i",
  needs: "metrics:read",
};
export const SETTINGS: Place = {
  to: "/dashboard/settings",
  label: "Settings",
  icon: IconSettings,
  keys: "g s",
};

/** Groups of the sidebar. A group for inbound follows Outbound once it exists. */
export const GROUPS: { label: string; places: Place[] }[] = [
  { label: "Outbound", places: [MESSAGES, APPLICATIONS, ENDPOINTS, EVENT_TYPES] },
  { label: "Engine", places: [QUEUES, JOBS, NODES] },
  { label: "Operation", places: [ALERTS, MONITORING, BACKUPS, OPERATIONAL_WEBHOOKS] },
];

export const PLACES: Place[] = [OVERVIEW, ...GROUPS.flatMap((group) => group.places), SETTINGS];

/** Returns whether a role may read a place. */
export function isOpenTo(role: Role | null, place: Place): boolean {
  return place.needs === undefined || may(role, place.needs);
}
