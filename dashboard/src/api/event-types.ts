/** Event types: the catalogue of an environment. */
import { queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";

export type EventType = Schemas["EventType"];

/** Pages that are read at most: 1,000 event types. */
const MAX_PAGES = 10;

/** All event types of the environment, by name. */
export const eventTypesQuery = queryOptions({
  queryKey: ["event-types"],
  queryFn: async () => {
    const all: EventType[] = [];
    let cursor: string | null | undefined = null;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const query: { limit: number; cursor?: string } = { limit: 100, ...(cursor ? { cursor } : {}) };
      const answer: Schemas["EventTypeList"] = await answered(
        api.GET("/v1/event-types", { params: { query } }),
      );
      all.push(...answer.event_types);
      cursor = answer.has_more ? answer.cursor : null;
      if (!cursor) break;
    }
    return all.sort((one, other) => one.name.localeCompare(other.name));
  },
  staleTime: 30_000,
});

export function createEventType(body: Schemas["CreateEventType"]) {
  return answered(api.POST("/v1/event-types", { body }));
}

export function updateEventType(id: string, body: Schemas["UpdateEventType"]) {
  return answered(api.PATCH("/v1/event-types/{id}", { params: { path: { id } }, body }));
}

export function deleteEventType(id: string) {
  return answered(api.DELETE("/v1/event-types/{id}", { params: { path: { id } } }));
}

/** Returns whether an endpoint's filter wants an event type: exact names, `prefix.*` and `*`; none means all. */
export function wants(filterTypes: string[], eventType: string): boolean {
  if (filterTypes.length === 0) return true;
  return filterTypes.some(
    (one) =>
      one === "*" || one === eventType || (one.endsWith(".*") && eventType.startsWith(one.slice(0, -1))),
  );
}
