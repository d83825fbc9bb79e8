// The sidebar: pages in the order of a reader, and after them every other page of the folder. Runbooks have one of their own.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const docs = fileURLToPath(new URL("../../docs", import.meta.url));

interface Group {
  text: string;
  folder: string;
  first: string[];
}

const GROUPS: Group[] = [
  { text: "Receivers", folder: "guides/receivers", first: ["index", "verify", "handle", "order"] },
  {
    text: "Run",
    folder: "guides",
    first: [
      ...["install", "containers", "kubernetes", "several-nodes", "mail-and-sign-in", "sizing", "hardening"],
      ...["alerts", "monitoring", "opentelemetry", "backup"],
      ...["upgrade", "encryption-key", "transfer", "migrating", "portal", "rabbitmq", "troubleshooting"],
    ],
  },
  { text: "Reference", folder: "reference", first: ["configuration", "delivery", "security", "metrics", "metrics-api", "realtime"] },
  { text: "Explanation", folder: "explanation", first: ["reliability", "benchmarks", "threat-model"] },
  { text: "Runbooks", folder: "runbooks", first: ["index"] },
];

export function sidebar() {
  const isRunbook = ({ folder }: Group) => folder === "runbooks";
  return {
    "/runbooks/": groups(GROUPS.filter(isRunbook)),
    "/": groups(GROUPS.filter((group) => !isRunbook(group))),
  };
}

// Groups do not collapse: a group that does would be a button with a button inside.
function groups(wanted: Group[]) {
  return wanted.map(({ text, folder, first }) => {
    const pages = existsSync(`${docs}/${folder}`)
      ? readdirSync(`${docs}/${folder}`)
          .filter((name) => name.endsWith(".md"))
          .map((name) => name.slice(0, -3))
      : [];
    const rank = (page: string) => (first.includes(page) ? first.indexOf(page) : first.length);
    pages.sort((one, other) => rank(one) - rank(other) || one.localeCompare(other));
    return {
      text,
      items: pages.map((page) => ({ text: title(`${docs}/${folder}/${page}.md`), link: `/${folder}/${page === "index" ? "" : page}` })),
    };
  }).filter((group) => group.items.length > 0);
}

function title(file: string): string {
  const heading = readFileSync(file, "utf8").match(/^# (.+)$/m);
  if (!heading) throw new Error(`${file} has no title`);
  // The names of alerts all begin alike.
  return heading[1].replaceAll("`", "").replace(/^Hookstream(?=[A-Z])/, "");
}
