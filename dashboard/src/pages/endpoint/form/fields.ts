/** Fields of the form of an endpoint, and what of them is sent. */
import type { Schemas } from "@/api/client";
import type { Endpoint } from "@/api/endpoints";
import { listOf } from "@/lib/json/json";

/** Fields of the form, as its inputs hold them. */
export type Fields = ReturnType<typeof fieldsOf>;

/** Returns the fields that an endpoint has; those of a new one without it. */
export function fieldsOf(endpoint: Endpoint | undefined) {
  return {
    url: endpoint?.url ?? "",
    description: endpoint?.description ?? "",
    uid: endpoint?.uid ?? "",
    filter_types: listOf(endpoint?.filter_types),
    channels: listOf(endpoint?.channels),
    rate_limit_per_second: (endpoint?.rate_limit_per_second ?? "") as number | string,
    timeout_ms: (endpoint?.timeout_ms ?? "") as number | string,
    ordering: endpoint?.ordering ?? "none",
    ordering_key: endpoint?.ordering_key ?? "",
    on_failure: endpoint?.on_failure ?? "block",
    retry_schedule: listOf(endpoint?.retry_schedule).join(", "),
    headers: "",
  };
}

/** Returns the fields that differ from what the endpoint has, in the form of the API. */
export function changesOf(now: Fields, before: Fields): Schemas["UpdateEndpoint"] {
  const changes: Record<string, unknown> = {};
  for (const name of Object.keys(now) as (keyof Fields)[]) {
    if (JSON.stringify(now[name]) === JSON.stringify(before[name])) continue;
    changes[name] = valueOf(name, now[name]);
  }
  return changes;
}

function valueOf(name: keyof Fields, value: Fields[keyof Fields]): unknown {
  if (Array.isArray(value)) return value;
  if (name === "retry_schedule") {
    return value === ""
      ? null
      : String(value)
          .split(",")
          .map((part) => Number(part.trim()));
  }
  if (name === "headers") {
    const pairs = String(value)
      .split("\n")
      .filter((line) => line.includes(":"));
    return Object.fromEntries(
      pairs.map((line) => [
        line.slice(0, line.indexOf(":")).trim(),
        line.slice(line.indexOf(":") + 1).trim(),
      ]),
    );
  }
  if (name === "rate_limit_per_second" || name === "timeout_ms") return value === "" ? null : Number(value);
  return value === "" && name !== "url" ? null : value;
}

/** Props of the inputs of a form. */
export interface InputsProps {
  fields: Fields;
  set: <K extends keyof Fields>(name: K, value: Fields[K]) => void;
  /** Returns the mark of a field that differs from what the endpoint has. */
  mark: (name: keyof Fields) => string;
  /** True if the endpoint has headers already. */
  hasHeaders: boolean;
}
