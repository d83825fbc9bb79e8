/** Crumb of the list that an operational endpoint or message is in. */
export const LIST = {
  label: "Operational webhooks",
  link: { to: "/dashboard/operational-webhooks" },
} as const;
