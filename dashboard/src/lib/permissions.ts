/** Roles and what they may do, as docs/reference/security.md states it. The server decides; the interface leaves out the rest. */

export type Role = "viewer" | "developer" | "admin" | "owner";

/** Authority that the interface asks about. */
export type Permission =
  | "applications:write"
  | "endpoints:write"
  | "event_types:write"
  | "messages:write"
  | "jobs:write"
  | "portal:write"
  | "views:write"
  | "alerts:write"
  | "api_keys:write"
  | "api_keys:organization"
  | "environments:write"
  | "members:write"
  | "organization:write"
  | "organization:delete"
  | "endpoints:secret"
  | "audit:read"
  | "nodes:read"
  | "backups:read"
  | "metrics:read";

const DEVELOPER: Permission[] = [
  "applications:write",
  "endpoints:write",
  "event_types:write",
  "messages:write",
  "jobs:write",
  "portal:write",
  "views:write",
  "alerts:write",
  "api_keys:write",
];
const ADMIN: Permission[] = [
  ...DEVELOPER,
  "api_keys:organization",
  "environments:write",
  "members:write",
  "organization:write",
  "endpoints:secret",
  "audit:read",
];

const PERMISSIONS: Record<Role, Set<Permission>> = {
  viewer: new Set(),
  developer: new Set(DEVELOPER),
  admin: new Set(ADMIN),
  owner: new Set<Permission>([...ADMIN, "organization:delete", "nodes:read", "backups:read", "metrics:read"]),
};

/** Returns whether a role has a permission; nobody without a role has one. */
export function may(role: Role | null, permission: Permission): boolean {
  return role !== null && PERMISSIONS[role].has(permission);
}
