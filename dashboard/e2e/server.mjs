// What the browser tests need: a server of the real binary, receivers, and Chromium.
import { chromium } from "playwright-core";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The binary under test, built with the dashboard. */
const BINARY = process.env.HOOKSTREAM ?? new URL("../../target/debug/hookstream", import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const PASSWORD = "plum teapot gravel seven";

/** Environment without the variables of these tests: the server refuses settings that it does not know. */
const OTHER_ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("HOOKSTREAM")),
);
let databases = 0;

/** Creates an empty database on the PostgreSQL server of HOOKSTREAM_E2E_DATABASE, if that is set. */
function createDatabase() {
  const server = process.env.HOOKSTREAM_E2E_DATABASE;
  if (!server) return null;
  databases += 1;
  const name = `hookstream_e2e_${process.pid}_${databases}`;
  const run = (sql) => execFileSync("psql", ["-qw", "-v", "ON_ERROR_STOP=1", "-d", server, "-c", sql]);
  run(`create database ${name} encoding 'UTF8' template template0`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => run(`drop database ${name} with (force)`) };
}

/** Starts a server with an empty store and further settings, and returns its addresses and the way to end it. */
export async function startServer(settings = {}) {
  const data = mkdtempSync(join(tmpdir(), "hookstream-e2e-"));
  const database = createDatabase();
  const store = database ? ["--database-url", database.url] : ["--data-dir", data];
  const child = spawn(
    BINARY,
    ["serve", "--listen", "127.0.0.1:0", "--allow-targets", "127.0.0.0/8", "--log", "warn", ...store],
    {
      env: { ...OTHER_ENVIRONMENT, HOOKSTREAM_ENCRYPTION_KEY: "11".repeat(32), ...settings },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let text = "";
  child.stdout.on("data", (chunk) => (text += chunk));
  child.stderr.on("data", (chunk) => (text += chunk));
  const found = await until(
    () => {
      const key = /hs_live_[0-9a-f]{64}/.exec(text)?.[0];
      const url = /is ready at (\S+)/.exec(text)?.[1];
      const token = /setup#token=(\S+)/.exec(text)?.[1];
      if (child.exitCode !== null) throw new Error(`the server ended: ${text}`);
      return key && url && token ? { key, url, setup: `${url}/setup#token=${token}` } : null;
    },
    "the server is ready",
    60_000,
  );
  return {
    ...found,
    /** Calls the API with the first key. */
    async call(method, path, body) {
      const response = await fetch(`${found.url}/v1${path}`, {
        method,
        headers: { "x-api-key": found.key, "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const answer = await response.json();
      if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
      return answer;
    },
    async stop() {
      const ended = new Promise((resolve) => child.on("exit", resolve));
      child.kill("SIGTERM");
      await ended;
      database?.drop();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** Starts a receiver on loopback. `status` may be changed while it runs. */
export async function startReceiver() {
  const receiver = { status: 204, requests: [], url: "", stop: () => undefined };
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      receiver.requests.push({ headers: request.headers, body });
      response.writeHead(receiver.status).end();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  receiver.url = `http://127.0.0.1:${server.address().port}/webhooks`;
  receiver.stop = () => new Promise((resolve) => server.close(resolve));
  return receiver;
}

/** Starts a mail server on loopback that takes every mail. `settings` are those of a server that sends to it. */
export async function startMailServer() {
  const mailServer = { mails: [], settings: {}, stop: () => undefined };
  const sockets = new Set();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    let rest = "";
    let mail = null;
    const answer = (line) => socket.write(`${line}\r\n`);
    const read = (line) => {
      if (mail !== null && line === ".") {
        mailServer.mails.push(mail.join("\n"));
        mail = null;
        answer("250 taken");
      } else if (mail !== null) mail.push(line);
      else if (/^DATA/i.test(line)) {
        mail = [];
        answer("354 go on");
      } else if (/^QUIT/i.test(line)) socket.end("221 bye\r\n");
      else answer("250 OK");
    };
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      const lines = (rest + chunk).split("\r\n");
      rest = lines.pop();
      lines.forEach(read);
    });
    answer("220 mail.test");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  mailServer.settings = {
    HOOKSTREAM_SMTP_URL: `smtp://127.0.0.1:${server.address().port}?tls=none`,
    HOOKSTREAM_MAIL_FROM: "hooks@example.com",
  };
  mailServer.stop = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  };
  return mailServer;
}

/** Starts Chromium. */
export function startBrowser() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Opens a page of a browser of its own, which fails the test on script errors and on refusals of the content policy. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(error.message));
  page.on("console", (message) => {
    if (/Content Security Policy|Uncaught/.test(message.text())) page.problems.push(message.text());
  });
  page.setDefaultTimeout(20_000);
  return page;
}

/** Fills the field of the password; its label has a mark that it is required, and a button beside it the same word. */
export function fillPassword(page) {
  return page.locator("input[type=password]").first().fill(PASSWORD);
}

/** Creates the owner's account with the set-up link. */
export async function setUp(page, server, email = "owner@example.com") {
  await page.goto(server.setup);
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Name").fill("The Owner");
  await fillPassword(page);
  await page.getByRole("button", { name: "Create account" }).click();
  await arrive(page, /\/dashboard/);
}

/** Waits until the page is at an address; the application changes it without a load. */
export function arrive(page, address) {
  return until(() => address.test(page.url()), `at ${address}, not ${page.url()}`);
}

/** Waits until `ask` returns something. */
export async function until(ask, what, timeout = 20_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const found = await ask();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${timeout} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
