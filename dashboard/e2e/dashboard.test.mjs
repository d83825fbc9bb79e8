// The dashboard in a browser, against the real server with real deliveries.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { findings } from "./axe.mjs";
import { openPage, PASSWORD, setUp, startBrowser, startReceiver, startServer, until } from "./server.mjs";

/** Code of an authenticator app (RFC 6238) for a secret in base 32. */
function code(secret, at = Date.now()) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.replace(/=+$/, "")]
    .map((c) => letters.indexOf(c).toString(2).padStart(5, "0"))
    .join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const hash = createHmac("sha1", key).update(counter).digest();
  const offset = hash[19] & 15;
  return String((hash.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

describe("dashboard", { timeout: 300_000 }, () => {
  let server, browser, receiver, owner;
  before(async () => {
    [server, browser, receiver] = await Promise.all([startServer(), startBrowser(), startReceiver()]);
  });
  after(async () => {
    await browser?.close();
    await Promise.all([server?.stop(), receiver?.stop()]);
  });

  test("first run leads to a delivered message by clicking alone", async () => {
    owner = await openPage(browser);
    await setUp(owner, server);
    await owner.waitForURL(/get-started/);
    await owner.getByRole("button", { name: "Create application" }).click();
    await owner.getByRole("button", { name: /test receiver/i }).click();
    await owner.getByRole("button", { name: "Send it now" }).click();
    await owner.getByText("Delivered").first().waitFor();
    assert.deepEqual(await findings(owner), []);
    await owner.getByRole("link", { name: "Open the message" }).click();
    await owner.getByRole("heading", { name: /invoice\.paid/ }).waitFor();
    assert.deepEqual(await findings(owner), []);
    assert.deepEqual(owner.problems, []);
  });

  test("a failing endpoint is found on Overview, explained, fixed and recovered", async () => {
    receiver.status = 503;
    await server.call("POST", "/applications", { name: "Haverbrook", uid: "haverbrook" });
    const { endpoint } = await server.call("POST", "/applications/haverbrook/endpoints", {
      url: receiver.url,
      description: "Haverbrook orders",
      retry_schedule: [1],
    });
    const { message } = await server.call("POST", "/applications/haverbrook/messages", {
      event_type: "order.created",
      payload: { order: 1 },
    });
    await until(
      async () => (await server.call("GET", `/messages/${message.id}`)).message.status === "failed",
      "failed",
    );
    await until(
      async () =>
        (await server.call("GET", "/problems")).problems.some((one) => one.subject.id === endpoint.id),
      "a problem",
    );
    await owner.goto(`${server.url}/dashboard`);
    const row = owner.getByText("Haverbrook orders").first();
    await row.waitFor();
    assert.deepEqual(await findings(owner), []);
    await row.click();
    await owner.waitForURL(/\/dashboard\/endpoints\//);
    await owner.getByText(/503/).first().waitFor();
    assert.deepEqual(await findings(owner), []);
    receiver.status = 204;
    const before = receiver.requests.length;
    await owner.goto(`${owner.url().split("?")[0]}?recover=1`);
    const dialog = owner.getByRole("dialog");
    await dialog.getByRole("button", { name: /^Recover 1/ }).click();
    await until(() => receiver.requests.length > before, "the message arrived");
    await until(
      async () => (await server.call("GET", `/messages/${message.id}`)).message.status === "delivered",
      "delivered",
    );
    assert.deepEqual(owner.problems, []);
  });

  test("a viewer sees no act that is refused", async () => {
    const { organization } = await owner
      .evaluate(async () => (await fetch("/v1/auth/session")).json())
      .then(async ({ session }) => ({ organization: session.org_id ?? session.organization?.id }));
    const invited = await owner.evaluate(async (id) => {
      const response = await fetch(`/v1/organizations/${id}/invitations`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ email: "viewer@example.com", role: "viewer" }),
      });
      return response.json();
    }, organization);
    const viewer = await openPage(browser);
    await viewer.goto(invited.url);
    await viewer.getByLabel("Name").fill("A Viewer");
    await viewer.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await viewer.getByRole("button", { name: /join|accept|create/i }).click();
    await viewer.waitForURL(/\/dashboard/);
    const refused = [];
    viewer.on("response", (response) => {
      if (response.status() === 403) refused.push(response.url());
    });
    for (const path of [
      "",
      "/messages",
      "/applications",
      "/endpoints",
      "/event-types",
      "/queues",
      "/jobs",
      "/settings",
    ]) {
      await viewer.goto(`${server.url}/dashboard${path}`);
      await viewer.waitForLoadState("networkidle");
      for (const name of [/^Create/, /^Add/, /^Delete/, /^Send/, /^Recover/, /^Pause/, /^Invite/]) {
        assert.equal(
          await viewer.getByRole("main").getByRole("button", { name }).count(),
          0,
          `${path}: ${name}`,
        );
      }
    }
    assert.deepEqual(refused, []);
    await viewer.context().close();
  });

  test("two browsers see a message arrive", async () => {
    const other = await openPage(browser);
    await other.goto(`${server.url}/sign-in`);
    await other.getByLabel("Email").fill("owner@example.com");
    await other.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await other.getByRole("button", { name: "Sign in" }).click();
    await other.waitForURL(/\/dashboard/);
    for (const page of [owner, other]) {
      await page.goto(`${server.url}/dashboard/messages`);
      await page.getByText("order.created").first().waitFor();
    }
    await server.call("POST", "/applications/haverbrook/messages", {
      event_type: "order.shipped",
      payload: {},
    });
    for (const page of [owner, other]) {
      await page.getByText(/1 new/).first().click();
      await page.getByText("order.shipped").first().waitFor();
    }
    await other.context().close();
  });

  test("back and forward keep the filters of a list", async () => {
    await owner.goto(`${server.url}/dashboard/messages?status=delivered`);
    await owner.locator("a[href*='/dashboard/messages/']").first().click();
    await owner.waitForURL(/\/dashboard\/messages\/[0-9a-f]{32}/);
    await owner.goBack();
    await owner.waitForURL(/status=delivered/);
    await owner.goForward();
    await owner.waitForURL(/\/dashboard\/messages\/[0-9a-f]{32}/);
  });

  test("a message is found and retried with the keyboard alone", async () => {
    receiver.status = 503;
    const { message } = await server.call("POST", "/applications/haverbrook/messages", {
      event_type: "order.cancelled",
      payload: {},
    });
    await until(
      async () => (await server.call("GET", `/messages/${message.id}`)).message.status === "failed",
      "failed",
    );
    receiver.status = 204;
    await owner.goto(`${server.url}/dashboard`);
    await owner.getByRole("heading").first().waitFor();
    await owner.keyboard.press("Control+k");
    await owner.keyboard.type(message.id);
    await owner.waitForTimeout(500);
    await owner.keyboard.press("Enter");
    await owner.waitForURL(new RegExp(message.id));
    await owner.getByRole("heading", { name: /order\.cancelled/ }).waitFor();
    await owner.keyboard.press("r");
    await until(
      async () => (await server.call("GET", `/messages/${message.id}`)).message.status === "delivered",
      "delivered",
    );
  });

  test("sign-in asks for the second factor", async () => {
    await owner.goto(`${server.url}/dashboard/settings/second-factor`);
    await owner.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await owner.getByRole("button", { name: "Continue" }).click();
    const text = await owner.getByRole("main").innerText();
    const secret = await owner.evaluate(() => /[A-Z2-7]{32,}/.exec(document.body.innerText)?.[0] ?? "");
    assert.match(secret, /^[A-Z2-7]{32,}/, text);
    await owner.getByLabel("Code").fill(code(secret));
    await owner.getByRole("button", { name: "Switch on" }).click();
    await owner.getByRole("button", { name: "They are saved" }).click();
    const other = await openPage(browser);
    await other.goto(`${server.url}/sign-in`);
    await other.getByLabel("Email").fill("owner@example.com");
    await other.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await other.getByRole("button", { name: "Sign in" }).click();
    // A code is valid once, so the next one is used.
    await other.getByLabel("Code").fill(code(secret, Date.now() + 30_000));
    await other.getByRole("button", { name: "Sign in" }).click();
    await other.waitForURL(/\/dashboard/);
    assert.deepEqual(other.problems, []);
  });
});
