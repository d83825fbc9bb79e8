/** Choice of operational events: exact names, and `prefix.*` for a whole group, which includes later types. */
import { wants } from "@/api/event-types";

export interface EventGroup<T extends { name: string }> {
  /** First part of the names: `endpoint`. */
  prefix: string;
  types: T[];
}

/** Returns the types by the first part of their names, in their order. */
export function groupsOf<T extends { name: string }>(types: T[]): EventGroup<T>[] {
  const groups = new Map<string, T[]>();
  for (const type of types) {
    const prefix = type.name.split(".")[0] ?? type.name;
    groups.set(prefix, [...(groups.get(prefix) ?? []), type]);
  }
  return [...groups].map(([prefix, list]) => ({ prefix, types: list }));
}

/** Returns the name of a group: `Payload budget`. */
export function titleOf(prefix: string): string {
  const words = prefix.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Returns whether a choice has a type. A choice without names has none, unlike a filter. */
export function isChosen(choice: string[], name: string): boolean {
  return choice.length > 0 && wants(choice, name);
}

/** Returns the choice with or without a type. A group that loses one keeps its others by name. */
export function withType(choice: string[], name: string, isOn: boolean, group: EventGroup<{ name: string }>) {
  if (isOn) return isChosen(choice, name) ? choice : [...choice, name];
  const others = group.types.map((type) => type.name).filter((one) => one !== name && isChosen(choice, one));
  return [...withGroup(choice, false, group), ...others];
}

/** Returns the choice with or without a whole group. */
export function withGroup(choice: string[], isOn: boolean, { prefix, types }: EventGroup<{ name: string }>) {
  const rest = choice.filter((one) => one !== prefix && !one.startsWith(`${prefix}.`));
  if (!isOn) return rest;
  const only = types.length === 1 ? types[0] : undefined;
  return [...rest, only?.name ?? `${prefix}.*`];
}
