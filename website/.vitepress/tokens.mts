// The design tokens of the dashboard, as a style sheet for the site: `virtual:tokens.css`.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import type { Plugin } from "vite";

const file = fileURLToPath(new URL("../../dashboard/src/theme/tokens.css", import.meta.url));
const name = "virtual:tokens.css";
const resolved = `\0${name}`;

export function tokens(): Plugin {
  return {
    name: "tokens",
    resolveId: (id) => (id === name ? resolved : undefined),
    load: (id) => (id === resolved ? readFileSync(file, "utf8").replaceAll('[data-mantine-color-scheme="dark"]', ".dark") : undefined),
  };
}
