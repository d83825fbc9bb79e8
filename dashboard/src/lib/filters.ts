/** Filters of a list: fields, their values, and how both stand in the URL. */

/** Field that a list can be filtered by. */
export interface FilterField {
  /** Name of the query parameter, of the URL and of the API alike. */
  name: string;
  label: string;
  kind: "choice" | "text" | "time";
  /** Values to choose from. A field with `several` may have more than one of them. */
  choices?: { value: string; label: string }[];
  several?: boolean;
  /** Word between the label and the value. */
  operator?: string;
}

/** Filters that are set: values by field name. */
export type Filters = Record<string, string[]>;

/** Reads the filters out of search parameters; parameters that are no field are left out. */
export function parseFilters(search: Record<string, unknown>, fields: FilterField[]): Filters {
  const filters: Filters = {};
  for (const field of fields) {
    const text = search[field.name];
    if (typeof text !== "string" || text === "") continue;
    const values = field.several ? text.split(",").filter((value) => value !== "") : [text];
    if (values.length > 0) filters[field.name] = values;
  }
  return filters;
}

/** Writes filters as search parameters; a field without a value is absent. */
export function formatFilters(filters: Filters): Record<string, string> {
  const entries = Object.entries(filters).filter(([, values]) => values.length > 0);
  return Object.fromEntries(entries.map(([name, values]) => [name, values.join(",")]));
}

/** Returns filters with one field set to these values, or without the field if there are none. */
export function withFilter(filters: Filters, name: string, values: string[]): Filters {
  const rest: Filters = Object.fromEntries(Object.entries(filters).filter(([other]) => other !== name));
  return values.length === 0 ? rest : { ...rest, [name]: values };
}

/** Returns what is wrong with a value, or null. */
export function filterProblem(field: FilterField, value: string): string | null {
  if (field.kind === "time") {
    return Number.isNaN(Date.parse(value)) ? "Enter a time such as 2026-11-29T12:00:00Z." : null;
  }
  if (field.choices && !field.several && !field.choices.some((choice) => choice.value === value)) {
    return `Choose one of ${field.choices.map((choice) => choice.label).join(", ")}.`;
  }
  return value.length > 256 ? "Enter at most 256 characters." : null;
}

/** Ranges of time that the interface offers, in words; the API gets the time that they mean. */
export const RANGES = [
  { value: "15m", label: "the last 15 min", minutes: 15 },
  { value: "1h", label: "the last hour", minutes: 60 },
  { value: "24h", label: "the last 24 h", minutes: 1440 },
  { value: "7d", label: "the last 7 days", minutes: 10_080 },
] as const;

/** Returns the time that a value of a time field means: a range counts back from now, another value is a time. */
export function timeOfFilter(value: string, now: Date): string {
  const range = RANGES.find((one) => one.value === value);
  if (range === undefined) return new Date(value).toISOString();
  // To the full minute, so that a list asks the same question twice and its cached answer counts.
  const minute = Math.floor(now.getTime() / 60_000) * 60_000;
  return new Date(minute - range.minutes * 60_000).toISOString();
}

/** Returns a value as a page shows it: the label of a choice or of a range, else the value. */
export function wordOfValue(field: FilterField, value: string): string {
  const range = field.kind === "time" ? RANGES.find((one) => one.value === value)?.label : undefined;
  return range ?? field.choices?.find((choice) => choice.value === value)?.label ?? value;
}

/** Returns a filter in words: `Status is Failed, Skipped`. */
export function filterWords(
  field: FilterField,
  values: string[],
  wordOf?: (field: string, value: string) => string | undefined,
): string {
  const words = values.map((value) => wordOf?.(field.name, value) ?? wordOfValue(field, value));
  return `${field.label} ${field.operator ?? "is"} ${words.join(", ")}`;
}
