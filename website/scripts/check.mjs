// Checks the built site: no page has an inline script or style, loads a file of another host, or names a file that is absent.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const site = process.argv[2] ?? fileURLToPath(new URL("../.vitepress/dist", import.meta.url));
const base = "/docs/guide/";
const faults = [];

for (const name of readdirSync(site, { recursive: true }).filter((name) => name.endsWith(".html"))) {
  const page = readFileSync(join(site, name), "utf8");
  const report = (fault) => faults.push(`${name}: ${fault}`);
  if (/<script(?![^>]* src=)[^>]*>/.test(page)) report("inline script");
  for (const style of page.match(/<style|<[^>]* style="[^"]*"/g) ?? []) report(`inline style: ${style}`);
  for (const [, file] of page.matchAll(/<(?:script|link|img)[^>]* (?:src|href)="([^"]*)"/g)) {
    const isHere = file.startsWith(base) || file.startsWith("data:");
    if (!isHere) report(`file of another place: ${file}`);
    else if (file.startsWith(base) && !existsSync(join(site, decodeURIComponent(file.slice(base.length))))) report(`absent file: ${file}`);
  }
}

for (const fault of faults) console.error(fault);
console.log(faults.length === 0 ? "the site is fine" : `${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;
