/** Event types that an endpoint takes. The API has them as JSON text; none means all. */
import type { Endpoint, EventType } from "../api";

export function typesOf(endpoint: Pick<Endpoint, "filter_types">): string[] {
  if (!endpoint.filter_types) return [];
  try {
    const types: unknown = JSON.parse(endpoint.filter_types);
    return Array.isArray(types) ? types.filter((type): type is string => typeof type === "string") : [];
  } catch {
    return [];
  }
}

/** Returns whether an endpoint takes messages of a type: by its name, by `invoice.*`, or by `*`. */
export function takes(endpoint: Pick<Endpoint, "filter_types">, type: Pick<EventType, "name">): boolean {
  const types = typesOf(endpoint);
  const matches = (filter: string) =>
    filter === "*" ||
    (filter.endsWith(".*") ? type.name.startsWith(filter.slice(0, -1)) : filter === type.name);
  return types.length === 0 || types.some(matches);
}
