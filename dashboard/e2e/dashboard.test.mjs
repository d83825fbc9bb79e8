// The dashboard in a browser, against the real server with real deliveries.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { findings } from "./axe.mjs";
import {
  arrive,
  fillPassword,
  openPage,
  setUp,
  startBrowser,
  startReceiver,
  startServer,
  until,
} from "./server.mjs";

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
  let server, browser, receiver, bot, owner;
  before(async () => {
    [server, browser, receiver, bot] = await Promise.all([
      startServer({ HOOKSTREAM_ALERT_INTERVAL_S: "1" }),
      startBrowser(),
      startReceiver(),
      startReceiver(),
    ]);
  });
  after(async () => {
    await browser?.close();
    await Promise.all([server?.stop(), receiver?.stop(), bot?.stop()]);
  });

  /** Creates an application with an endpoint, and a message that fails for good. */
  async function failedMessage(uid, description, event_type) {
    await server.call("POST", "/applications", { name: uid, uid });
    const endpoint = { url: receiver.url, description, retry_schedule: [1] };
    await server.call("POST", `/applications/${uid}/endpoints`, endpoint);
    const { message } = await server.call("POST", `/applications/${uid}/messages`, {
      event_type,
      payload: {},
    });
    await until(
      async () => (await server.call("GET", `/messages/${message.id}`)).message.status === "failed",
      "the message failed",
    );
    return { message };
  }

  test("first run leads to a delivered message by clicking alone", async () => {
    owner = await openPage(browser);
    await setUp(owner, server);
    await arrive(owner, /get-started/);
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
    const { message } = await failedMessage("haverbrook", "Haverbrook orders", "order.created");
    const isOpen = async () => {
      await server.call("POST", "/applications/haverbrook/messages", {
        event_type: "order.paid",
        payload: {},
      });
      return (await server.call("GET", "/problems")).problems.some((one) => one.kind === "circuit_open");
    };
    await until(isOpen, "the circuit is open");
    await owner.goto(`${server.url}/dashboard`);
    await owner.getByRole("main").getByText("Haverbrook orders").first().waitFor();
    const row = owner.getByRole("main").getByRole("link", { name: "Explain" }).first();
    await row.waitFor();
    assert.deepEqual(await findings(owner), []);
    await row.click();
    await arrive(owner, /\/dashboard\/endpoints\//);
    await owner.getByText(/503/).first().waitFor();
    assert.deepEqual(await findings(owner), []);
    receiver.status = 204;
    const before = receiver.requests.length;
    await owner.getByRole("button", { name: "Probe now" }).first().click();
    await until(() => receiver.requests.length > before, "what waited arrives");
    await owner.goto(`${owner.url().split("?")[0]}?recover=1`);
    await owner
      .getByRole("dialog")
      .getByRole("button", { name: /^Recover \d/ })
      .click();
    await until(
      async () => (await server.call("GET", `/messages/${message.id}`)).message.status === "delivered",
      "the message was recovered",
    );
    assert.deepEqual(owner.problems, []);
  });

  test("a viewer sees no act that is refused", async () => {
    const { environments } = await server.call("GET", "/environments");
    const invited = await server.call("POST", `/organizations/${environments[0].org_id}/invitations`, {
      email: "viewer@example.com",
      role: "viewer",
    });
    const viewer = await openPage(browser);
    await viewer.goto(invited.url);
    await viewer.getByLabel("Name").fill("A Viewer");
    await fillPassword(viewer);
    await viewer.getByRole("button", { name: /join|accept|create/i }).click();
    await arrive(viewer, /\/dashboard/);
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
      "/alerts",
      "/alerts?tab=rules",
      "/alerts?tab=channels",
      "/settings",
    ]) {
      await viewer.goto(`${server.url}/dashboard${path}`);
      await viewer.waitForLoadState("networkidle");
      for (const name of [/^Create/, /^Add/, /^Delete/, /^Send/, /^Recover/, /^Pause .+/, /^Invite/]) {
        assert.equal(
          await viewer.getByRole("main").getByRole("button", { name }).count(),
          0,
          `${path}: ${name}`,
        );
      }
    }
    // The owner shares a view. The viewer sees it and cannot remove it, but keeps one of their own.
    await owner.goto(`${server.url}/dashboard/messages?event_type=order.created`);
    await owner.getByRole("button", { name: "Save…" }).click();
    await owner.getByLabel("Name of the view").fill("Orders");
    await owner.getByLabel("Shared in this environment").check();
    await owner.getByRole("button", { name: "Save view" }).click();
    await owner.getByRole("button", { name: "Remove the view" }).waitFor();
    await viewer.goto(`${server.url}/dashboard/messages`);
    await viewer
      .getByRole("navigation", { name: "Views" })
      .getByRole("button", { name: /Orders/ })
      .click();
    await viewer.getByText("Shared in this environment").waitFor();
    assert.equal(await viewer.getByRole("button", { name: "Remove the view" }).count(), 0);
    await viewer.goto(`${server.url}/dashboard/messages?event_type=order.created&status=failed`);
    await viewer.getByRole("button", { name: "Save…" }).click();
    assert.equal(await viewer.getByLabel("Shared in this environment").count(), 0);
    await viewer.getByLabel("Name of the view").fill("Lost orders");
    await viewer.getByRole("button", { name: "Save view" }).click();
    await viewer.getByText("Only you see this view").waitFor();
    await owner.goto(`${server.url}/dashboard/messages`);
    await owner
      .getByRole("navigation", { name: "Views" })
      .getByRole("button", { name: /Orders/ })
      .waitFor();
    assert.equal(await owner.getByText("Lost orders").count(), 0);
    assert.deepEqual(refused, []);
    await viewer.context().close();
  });

  test("two browsers see a message arrive", async () => {
    const other = await openPage(browser);
    await other.goto(`${server.url}/sign-in`);
    await other.getByLabel("Email").fill("owner@example.com");
    await fillPassword(other);
    await other.getByRole("button", { name: "Sign in" }).click();
    await arrive(other, /\/dashboard/);
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
    await owner.getByRole("main").locator("table a[href*='/dashboard/messages/']").first().click();
    await arrive(owner, /\/dashboard\/messages\/[0-9a-f]{32}/);
    await owner.goBack();
    await arrive(owner, /status=delivered/);
    await owner.goForward();
    await arrive(owner, /\/dashboard\/messages\/[0-9a-f]{32}/);
  });

  test("a message is found and retried with the keyboard alone", async () => {
    receiver.status = 503;
    const { message } = await failedMessage("quillon", "Quillon shop", "order.cancelled");
    receiver.status = 204;
    await owner.goto(`${server.url}/dashboard`);
    await owner.getByRole("heading", { name: "What changed" }).waitFor();
    await owner.keyboard.press("Control+k");
    await owner.getByPlaceholder("Search or jump to").waitFor();
    await owner.keyboard.type(message.id);
    await owner.getByText(`Message ${message.id}`).first().waitFor();
    await owner.keyboard.press("Enter");
    await arrive(owner, new RegExp(message.id));
    await owner.getByRole("heading", { name: /order\.cancelled/ }).waitFor();
    await owner.getByRole("button", { name: "Retry" }).first().waitFor();
    await owner.getByPlaceholder("Search or jump to").waitFor({ state: "hidden" });
    await owner.keyboard.press("r");
    await until(
      async () => (await server.call("GET", `/messages/${message.id}`)).message.status === "delivered",
      "delivered",
    );
  });

  test("a rule tells a channel of a failing endpoint, and of its end", async () => {
    const told = (type) => bot.requests.some(({ body }) => JSON.parse(body).type === type);
    const main = owner.getByRole("main");
    const dialog = owner.getByRole("dialog");
    await owner.goto(`${server.url}/dashboard/alerts`);
    await main.getByRole("heading", { name: "No rule watches this environment" }).waitFor();
    assert.deepEqual(await findings(owner), []);
    await owner.getByRole("tab", { name: "Channels" }).click();
    await main.getByRole("button", { name: "Add channel…" }).click();
    await dialog.getByText(/no mail server/).waitFor();
    assert.equal(await dialog.getByRole("button", { name: /^Email/ }).isEnabled(), false);
    await dialog.getByRole("button", { name: /^Webhook/ }).click();
    await dialog.getByLabel("Name").fill("Incident bot");
    await dialog.getByLabel("URL").fill("http://10.0.0.1/alerts");
    await dialog.getByRole("button", { name: "Add channel" }).click();
    await dialog.getByText(/^Leads to 10\.0\.0\.1/).waitFor();
    await dialog.getByLabel("URL").fill(bot.url);
    await dialog.getByRole("button", { name: "Add channel" }).click();
    await dialog.getByText(/^whsec_/).waitFor();
    await dialog.getByRole("button", { name: "It is saved" }).click();
    await main.getByRole("button", { name: "Test Incident bot" }).click();
    await main.getByText("The test arrived: your program accepted it.").waitFor();
    assert.equal(bot.requests.length, 1);
    assert.deepEqual(await findings(owner), []);

    await owner.getByRole("tab", { name: "Rules" }).click();
    await main.getByRole("button", { name: "Create rule…" }).click();
    await dialog.getByRole("button", { name: /^Failure rate/ }).click();
    await dialog.getByLabel("Name").fill("Failures of any endpoint");
    await dialog.getByLabel("Attempts, at least", { exact: true }).fill("1");
    await dialog.getByLabel("Cooldown").fill("0");
    await dialog.getByText("Incident bot · Webhook").waitFor();
    assert.deepEqual(await findings(owner), []);
    await dialog.getByRole("button", { name: "Create rule" }).click();
    const rule = main.getByRole("row", { name: /Failures of any endpoint/ });
    await rule.getByText(/of attempts fail within/).waitFor();
    receiver.status = 503;
    await failedMessage("tallyforge", "Tallyforge invoices", "invoice.voided");
    await owner.getByRole("tab", { name: "Alerts" }).click();
    const firing = main.getByRole("table", { name: "Firing alerts" });
    await firing
      .getByRole("row", { name: /Tallyforge invoices/ })
      .getByText(/ago|now/)
      .waitFor();
    await until(() => told("alert.firing"), "the channel is told");
    assert.deepEqual(await findings(owner), []);

    await owner.getByRole("tab", { name: "Rules" }).click();
    await rule.getByText(/\d firing/).waitFor();
    await rule.getByRole("switch").press("Space");
    await rule.getByText("Disabled").waitFor();
    await owner.getByRole("tab", { name: "Alerts" }).click();
    await main.getByRole("heading", { name: "Nothing fires" }).waitFor();
    await main.getByRole("table", { name: "Resolved alerts" }).getByText("Tallyforge invoices").waitFor();
    await until(() => told("alert.resolved"), "the channel is told of the end");
    assert.deepEqual(owner.problems, []);
  });

  test("a link of a notification turns to its environment", async () => {
    const { environments } = await server.call("GET", "/environments");
    const [home] = environments;
    const { environment } = await server.call("POST", "/environments", { name: "Staging", slug: "staging" });
    const link = (path, env) => `${server.url}/dashboard${path}org=${home.org_id}&env=${env}`;
    await owner.goto(link("/alerts?tab=rules&", environment.id));
    await arrive(owner, /\/dashboard\/alerts\?tab=rules$/);
    await owner.getByRole("button", { name: /Staging/ }).waitFor();
    await owner.getByRole("heading", { name: "No rule watches this environment" }).waitFor();
    const { endpoints } = await server.call("GET", "/applications/tallyforge/endpoints");
    const [{ id, application_id: appId }] = endpoints;
    await owner.goto(link(`/applications/${appId}/endpoints/${id}?`, home.id));
    await arrive(owner, new RegExp(`/dashboard/endpoints/${appId}/${id}$`));
    await owner.getByRole("heading", { name: "Tallyforge invoices" }).waitFor();
    await owner.goto(link("/alerts?", "0".repeat(32)));
    await owner.getByText("This link leads to an environment that you do not have").waitFor();
    assert.deepEqual(await findings(owner), []);
    await owner.getByRole("link", { name: "Go to your environment" }).click();
    await owner.getByRole("heading", { name: "What changed" }).waitFor();
    assert.deepEqual(owner.problems, []);
  });

  test("sign-in asks for the second factor", async () => {
    await owner.goto(`${server.url}/dashboard/settings/second-factor`);
    await fillPassword(owner);
    await owner.getByRole("button", { name: "Continue" }).click();
    await owner.getByRole("textbox", { name: "Code" }).waitFor();
    const text = await owner.getByRole("main").innerText();
    const secret = await owner.evaluate(() => /[A-Z2-7]{32,}/.exec(document.body.innerText)?.[0] ?? "");
    assert.match(secret, /^[A-Z2-7]{32,}/, text);
    await owner.getByRole("textbox", { name: "Code" }).fill(code(secret));
    await owner.getByRole("button", { name: "Switch on" }).click();
    await owner.getByRole("button", { name: "They are saved" }).click();
    const other = await openPage(browser);
    await other.goto(`${server.url}/sign-in`);
    await other.getByLabel("Email").fill("owner@example.com");
    await fillPassword(other);
    await other.getByRole("button", { name: "Sign in" }).click();
    // A code is valid once, so the next one is used.
    await other.getByRole("textbox", { name: "Code" }).fill(code(secret, Date.now() + 30_000));
    await other.getByRole("button", { name: "Sign in" }).click();
    await arrive(other, /\/dashboard/);
    assert.deepEqual(other.problems, []);
  });
});
