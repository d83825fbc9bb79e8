// Prints the compressed JavaScript of the first page, and fails above the limit.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT_KIB = 350;
const dist = new URL("../dist/", import.meta.url);
const loaded = new Set();

/** Follows the static imports of a file; a page that is loaded on demand counts if it is named. */
function follow(name) {
  if (loaded.has(name)) return;
  loaded.add(name);
  const text = readFileSync(new URL(`assets/${name}`, dist), "utf8");
  for (const [, found] of text.matchAll(/(?:from|import)\s*"\.\/([\w.-]+\.js)"/g)) follow(found);
}

const html = readFileSync(new URL("index.html", dist), "utf8");
for (const [, name] of html.matchAll(/assets\/([\w.-]+\.js)/g)) follow(name);
for (const name of readdirSync(new URL("assets/", dist))) {
  if (/^(Shell|overview)-[\w-]+\.js$/.test(name)) follow(name);
}
const bytes = [...loaded].reduce(
  (sum, name) => sum + gzipSync(readFileSync(new URL(`assets/${name}`, dist))).length,
  0,
);
const kib = (bytes / 1024).toFixed(1);
console.log(`first page: ${kib} KiB of compressed JavaScript in ${loaded.size} files (limit ${LIMIT_KIB})`);
if (bytes > LIMIT_KIB * 1024) process.exit(1);
