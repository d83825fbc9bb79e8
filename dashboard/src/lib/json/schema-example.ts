/** Example of a JSON Schema: a value that shows the shape, made from `examples`, `const`, `enum`, `default` and types. */

type Schema = Record<string, unknown>;

const MAX_DEPTH = 8;

const FORMATS: Record<string, string> = {
  "date-time": "2026-01-31T12:00:00Z",
  date: "2026-01-31",
  time: "12:00:00Z",
  email: "person@example.com",
  uri: "https://example.com/",
  uuid: "0198b2f0-7d5c-7000-8000-000000000000",
};

/** Returns an example value of a schema. Optional fields are included, so that the example shows all. */
export function exampleOf(schema: unknown, depth = 0): unknown {
  if (typeof schema !== "object" || schema === null || depth > MAX_DEPTH) return null;
  const rule = schema as Schema;
  if (Array.isArray(rule["examples"]) && rule["examples"].length > 0) return rule["examples"][0];
  for (const word of ["example", "const", "default"]) if (word in rule) return rule[word];
  if (Array.isArray(rule["enum"])) return rule["enum"][0] ?? null;
  for (const word of ["oneOf", "anyOf", "allOf"]) {
    const options = rule[word];
    if (Array.isArray(options) && options.length > 0) return exampleOf(options[0], depth + 1);
  }
  return exampleOfType(rule, depth);
}

function exampleOfType(rule: Schema, depth: number): unknown {
  const type = Array.isArray(rule["type"]) ? rule["type"].find((one) => one !== "null") : rule["type"];
  if (type === "object" || "properties" in rule) {
    const fields = (rule["properties"] ?? {}) as Schema;
    return Object.fromEntries(
      Object.entries(fields).map(([name, field]) => [name, exampleOf(field, depth + 1)]),
    );
  }
  if (type === "array") return "items" in rule ? [exampleOf(rule["items"], depth + 1)] : [];
  if (type === "integer" || type === "number") return rule["minimum"] ?? 1;
  if (type === "boolean") return true;
  if (type === "string") return FORMATS[String(rule["format"])] ?? "text";
  return null;
}

/** Field of a schema, for the catalogue. */
export interface SchemaField {
  path: string;
  type: string;
  isRequired: boolean;
  description: string;
}

/** Returns the fields of a schema, nested ones with a dotted path. */
export function fieldsOf(schema: unknown, prefix = "", depth = 0): SchemaField[] {
  if (typeof schema !== "object" || schema === null || depth > MAX_DEPTH) return [];
  const rule = schema as Schema;
  const required = Array.isArray(rule["required"]) ? rule["required"] : [];
  return Object.entries((rule["properties"] ?? {}) as Schema).flatMap(([name, field]) => {
    const inner = (typeof field === "object" && field !== null ? field : {}) as Schema;
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const type = Array.isArray(inner["type"]) ? inner["type"].join(" or ") : String(inner["type"] ?? "any");
    const own = {
      path,
      type,
      isRequired: required.includes(name),
      description: String(inner["description"] ?? ""),
    };
    return [own, ...fieldsOf(inner, path, depth + 1)];
  });
}
