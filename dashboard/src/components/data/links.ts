/** Addresses of endpoints, of messages, and of the messages behind a number. */
import { linkOptions } from "@tanstack/react-router";
import type { EndpointPath } from "@/api/endpoints";
import type { MessageKind } from "@/api/messages";
import { formatSearch } from "@/lib/search-params";

export interface EndpointSearch {
  tab?: string;
  edit?: string;
  recover?: string;
  replay?: string;
  since?: string;
}

/** Returns the link of an endpoint's page. */
export function endpointLink({ appId, id }: EndpointPath, search: EndpointSearch = {}) {
  return appId === null
    ? linkOptions({ to: "/dashboard/operational-webhooks/endpoints/$id", params: { id }, search })
    : linkOptions({ to: "/dashboard/endpoints/$appId/$id", params: { appId, id }, search });
}

/** Returns the link of a message's page, with the delivery and the attempt that it selects. */
export function messageLink(
  kind: MessageKind,
  id: string,
  search: { delivery?: string; attempt?: string } = {},
) {
  return kind === "operational"
    ? linkOptions({ to: "/dashboard/operational-webhooks/messages/$id", params: { id }, search })
    : linkOptions({ to: "/dashboard/messages/$id", params: { id }, search });
}

/** Returns the address of the list of messages with these filters, accepted within a bucket if one is given. */
export function messagesHref(
  filters: Record<string, string>,
  bucket?: { since: string; until: string },
): string {
  return `/dashboard/messages${formatSearch({ ...filters, ...(bucket ?? {}) })}`;
}
