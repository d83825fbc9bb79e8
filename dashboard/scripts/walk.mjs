// Walks over every page in a browser: takes screenshots in light, dark and phone width, and checks accessibility.
//
//   node scripts/walk.mjs <base URL> <session cookie> <folder> [only=<part of a name>] [themes=light,dark,phone] [portal=<URL>]
//
// The URL of a portal, with its token, adds the pages of the portal, some of them in each language.
// Themes are light, dark, middle (1100 pixels), phone and phone-dark.
// The cookie is that of a signed-in user, as `name=value`. The browser is CHROMIUM, or /usr/bin/chromium. It fails if axe
// finds something serious or critical, if a page logs an error, or if the content security policy refuses something.
import { chromium } from "playwright-core";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [base, cookie, folder, ...options] = process.argv.slice(2);
if (base === undefined || cookie === undefined || folder === undefined) {
  console.error(
    "usage: node scripts/walk.mjs <base URL> <session cookie> <folder> [only=…] [themes=…] [portal=…]",
  );
  process.exit(2);
}
const option = (name, usual) =>
  options.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? usual;
const only = option("only", "");
const themes = option("themes", "light,dark,phone").split(",");
const portal = option("portal", "");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = {
  light: { width: 1440, height: 900, scheme: "light" },
  dark: { width: 1440, height: 900, scheme: "dark" },
  middle: { width: 1100, height: 800, scheme: "light" },
  phone: { width: 390, height: 844, scheme: "light" },
  "phone-dark": { width: 390, height: 844, scheme: "dark" },
};

/** Asks the API as the user of the session. */
async function ask(path) {
  const answer = await fetch(new URL(path, base), { headers: { cookie } });
  return answer.ok ? answer.json() : {};
}

/** Pages to visit; ids are those of the worst problem and of the latest messages. */
async function pagesOf() {
  const [{ problems = [] }, { endpoints = [] }, { event_types: types = [] }, operational, events] =
    await Promise.all([
      ask("/v1/problems"),
      ask("/v1/endpoints?limit=100"),
      ask("/v1/event-types?limit=100"),
      ask("/v1/operational-webhooks/endpoints?limit=100"),
      ask("/v1/operational-webhooks/messages?limit=1"),
    ]);
  const told =
    operational.endpoints?.find((one) => one.circuit_state !== "closed") ?? operational.endpoints?.[0];
  const event = events.messages?.[0]?.id;
  const messageOf = async (status) =>
    (await ask(`/v1/messages?limit=100&status=${status}`)).messages?.[0]?.id;
  const worst = problems.find((one) => one.subject.kind === "endpoint")?.subject;
  const calm = endpoints.find((one) => one.status === "active" && one.circuit_state === "closed");
  const disabled = endpoints.find((one) => one.status === "disabled");
  const endpoint = (one, rest = "") => one && `/dashboard/endpoints/${one.application_id}/${one.id}${rest}`;
  const [pending, failed, delivered] = await Promise.all(["pending", "failed", "delivered"].map(messageOf));
  const message = (id) => id && `/dashboard/messages/${id}`;
  const app = worst?.application_id ?? endpoints[0]?.application_id;
  const type = types.find((one) => one.json_schema) ?? types[0];
  return {
    overview: "/dashboard",
    "overview-table": "/dashboard?view=table",
    "overview-30d": "/dashboard?range=30d",
    "get-started": "/dashboard/get-started",
    messages: "/dashboard/messages",
    "messages-failed": "/dashboard/messages?status=failed",
    "messages-none": "/dashboard/messages?search=nothing-has-this-id",
    "messages-send": "/dashboard/messages?send=1",
    "messages-search": "/dashboard/messages?search=invoice",
    "messages-retry": "/dashboard/messages?status=failed&retry=1",
    "message-pending": message(pending),
    "message-failed": message(failed),
    "message-delivered": message(delivered),
    "message-absent": "/dashboard/messages/00000000000000000000000000000000",
    applications: "/dashboard/applications",
    application: app && `/dashboard/applications/${app}`,
    "application-portal": app && `/dashboard/applications/${app}?open=portal`,
    endpoints: "/dashboard/endpoints",
    "endpoints-need": "/dashboard/endpoints?view=need",
    "endpoint-failing": endpoint(worst),
    "endpoint-recover": endpoint(calm, "?recover=1"),
    "endpoint-replay": endpoint(worst, "?replay=1"),
    "endpoint-edit": endpoint(worst, "?edit=1"),
    "endpoint-messages": endpoint(worst, "?tab=messages"),
    "endpoint-settings": endpoint(worst, "?tab=settings"),
    "endpoint-signing": endpoint(worst, "?tab=signing"),
    "endpoint-jobs": endpoint(worst, "?tab=jobs"),
    "endpoint-activity": endpoint(worst, "?tab=activity"),
    "endpoint-calm": endpoint(calm),
    "endpoint-disabled": endpoint(disabled),
    "event-types": "/dashboard/event-types",
    "event-type": type && `/dashboard/event-types/${type.id}`,
    queues: "/dashboard/queues",
    jobs: "/dashboard/jobs",
    nodes: "/dashboard/nodes",
    operational: "/dashboard/operational-webhooks",
    "operational-add": "/dashboard/operational-webhooks?create=1",
    "operational-endpoint": told && `/dashboard/operational-webhooks/endpoints/${told.id}`,
    "operational-edit": told && `/dashboard/operational-webhooks/endpoints/${told.id}?edit=1`,
    "operational-signing": told && `/dashboard/operational-webhooks/endpoints/${told.id}?tab=signing`,
    "operational-message": event && `/dashboard/operational-webhooks/messages/${event}`,
    backups: "/dashboard/backups",
    monitoring: "/dashboard/monitoring",
    ...Object.fromEntries(
      [
        "organization",
        "environments",
        "members",
        "api-keys",
        "usage",
        "audit-log",
        "account",
        "second-factor",
        "sessions",
      ].map((section) => [`settings-${section}`, `/dashboard/settings/${section}`]),
    ),
    "sign-in": "/sign-in",
  };
}

/** Pages of the portal: `darkMode` is the theme's, and the token goes along each time. */
async function pagesOfPortal() {
  if (portal === "") return {};
  const [address, token] = portal.split("#token=");
  const ask = async (path) => {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(new URL(`/v1/portal${path}`, base), { headers });
    return answer.ok ? answer.json() : {};
  };
  const [{ endpoints = [] }, { event_types: types = [] }] = await Promise.all([
    ask("/endpoints"),
    ask("/event-types"),
  ]);
  const messageOf = async (status) =>
    (await ask(`/messages?limit=1&status=${status}`)).messages?.[0]?.id ?? null;
  const failing = endpoints.find((one) => one.status === "disabled" || one.circuit_state !== "closed");
  const [failed, delivered] = await Promise.all(["failed", "delivered"].map(messageOf));
  const type = types.find((one) => one.json_schema) ?? types[0];
  const at = (next, locale = "en") => {
    const query = new URL(address);
    query.searchParams.set("locale", locale);
    query.searchParams.set("next", next);
    return `${query.pathname}${query.search}&darkMode=THEME#token=${token}`;
  };
  const one = (place, id, locale) => id && at(`${place}/${id}`, locale);
  const inLanguages = ["de", "es", "ja"].flatMap((locale) => [
    [`portal-endpoints-${locale}`, at("endpoints", locale)],
    [`portal-endpoint-${locale}`, one("endpoints", (failing ?? endpoints[0])?.id, locale)],
    [`portal-message-${locale}`, one("messages", failed ?? delivered, locale)],
    [`portal-activity-${locale}`, at("activity", locale)],
  ]);
  return {
    "portal-endpoints": at("endpoints"),
    "portal-endpoint": one("endpoints", endpoints.find((other) => other !== failing)?.id),
    "portal-endpoint-failing": one("endpoints", failing?.id),
    "portal-messages": at("messages"),
    "portal-messages-none": at("messages?search=nothing"),
    "portal-message": one("messages", delivered),
    "portal-message-failed": one("messages", failed),
    "portal-catalogue": at("catalogue"),
    "portal-type": one("catalogue", type?.name),
    "portal-activity": at("activity"),
    "portal-absent": at("messages/00000000000000000000000000000000"),
    ...Object.fromEntries(inLanguages),
  };
}

const pages = Object.entries({ ...(await pagesOf()), ...(await pagesOfPortal()) }).filter(
  ([name, path]) => path && name.includes(only),
);
mkdirSync(folder, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "walk-"));
const findings = [];
const note = (name, what) => {
  findings.push(`${name}: ${what}`);
  console.log(`  ${name}: ${what}`);
};

const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
  bypassCSP: false,
});
const [name, value] = cookie.split("=");
await context.addCookies([{ name, value, url: base }]);
const tab = await context.newPage();
let current = "";
const IGNORED = /404 \(Not Found\)|403 \(Forbidden\)|Failed to load resource/;
tab.on("console", (message) => {
  if (message.type() === "error" && !IGNORED.test(message.text()))
    note(current, message.text().slice(0, 300));
});
tab.on("pageerror", (error) => note(current, `error: ${error.message}`));

try {
  for (const theme of themes) {
    const { width, height, scheme } = SIZES[theme];
    await tab.setViewportSize({ width, height });
    await tab.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    for (const [page, path] of pages) {
      current = `${theme}-${page}`;
      const themed = path.replace("darkMode=THEME", `darkMode=${scheme === "dark"}`);
      await tab.goto(new URL(themed, base).href, { waitUntil: "domcontentloaded" });
      await tab.waitForLoadState("networkidle", { timeout: 8000 }).catch(() => undefined);
      await tab
        .waitForFunction(() => document.querySelector("[aria-busy=true]") === null)
        .catch(() => undefined);
      await tab.waitForTimeout(250);
      const overflow = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (overflow > 0) note(current, `${overflow} px wider than the window`);
      await tab.evaluate(axe);
      const { violations } = await tab.evaluate(() =>
        globalThis.axe.run(document, { resultTypes: ["violations"] }),
      );
      for (const one of violations) {
        const where = one.nodes
          .slice(0, 3)
          .map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`)
          .join("; ");
        if (one.impact === "serious" || one.impact === "critical")
          note(current, `axe ${one.impact} ${one.id} (${one.nodes.length}): ${where.slice(0, 500)}`);
      }
      await tab.screenshot({ path: join(folder, `${current}.png`) });
    }
  }
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(`${pages.length * themes.length} pages, ${findings.length} findings`);
if (findings.length > 0) process.exit(1);
