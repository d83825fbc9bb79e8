/** Endpoints that get an event type, and the part of their filter that says so. */
import type { ListedEndpoint } from "./endpoints";
import { wants } from "./event-types";
import { listOf } from "@/lib/json/json";

export interface Listener {
  endpoint: ListedEndpoint;
  /** Entry of the filter that wants the type; null for an endpoint without a filter. */
  by: string | null;
}

/** Returns who listens to an event type. */
export function listenersOf(endpoints: ListedEndpoint[], eventType: string): Listener[] {
  return endpoints.flatMap((endpoint): Listener[] => {
    const filter = listOf(endpoint.filter_types);
    if (filter.length === 0) return [{ endpoint, by: null }];
    const by = filter.find((one) => wants([one], eventType));
    return by === undefined ? [] : [{ endpoint, by }];
  });
}
