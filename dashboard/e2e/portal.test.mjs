// The portal in a page of another origin, as a customer sees it.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { findings } from "./axe.mjs";
import { openPage, startBrowser, startMailServer, startReceiver, startServer, until } from "./server.mjs";

describe("portal", { timeout: 300_000 }, () => {
  let server, browser, receiver, mailServer, host, access;
  before(async () => {
    mailServer = await startMailServer();
    [server, browser, receiver] = await Promise.all([
      startServer(mailServer.settings),
      startBrowser(),
      startReceiver(),
    ]);
    await server.call("POST", "/applications", { name: "Saltmarsh", uid: "saltmarsh" });
    await server.call("POST", "/event-types", {
      name: "order.created",
      json_schema: JSON.stringify({ type: "object", properties: { order_id: { type: "string" } } }),
    });
    access = await server.call("POST", "/applications/saltmarsh/portal-access");
    // The page of the product that embeds the portal.
    host = createServer((request, response) => {
      if (request.url === "/access") {
        void server
          .call("POST", "/applications/saltmarsh/portal-access")
          .then(({ url }) => response.end(url));
        return;
      }
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(`<!doctype html><title>Host</title><h1>Tallyforge</h1>
        <script src="${server.url}/portal/hookstream-portal.js"></script>
        <hookstream-portal primaryColor="0f766e" locale="de" url="${access.url}"></hookstream-portal>
        <script>document.querySelector("hookstream-portal").renew = () => fetch("/access").then((answer) => answer.text());</script>`);
    });
    await new Promise((resolve) => host.listen(0, "127.0.0.1", resolve));
  });
  after(async () => {
    await browser?.close();
    await new Promise((resolve) => host.close(resolve));
    await Promise.all([server?.stop(), receiver?.stop()]);
    await mailServer?.stop();
  });
  // Another host name makes another origin and site than that of the server.
  const hostUrl = () => `http://localhost:${host.address().port}`;
  const frameOf = (page) => page.frameLocator("iframe");

  test("no page embeds it before its origin is allowed", async () => {
    const page = await openPage(browser);
    await page.goto(hostUrl());
    await page.waitForTimeout(1_000);
    assert.equal(await frameOf(page).getByRole("heading", { name: "Endpunkte", exact: true }).count(), 0);
    await page.context().close();
  });

  test("a customer adds an endpoint, gets a test event, and sees it arrive", async () => {
    const { environments } = await server.call("GET", "/environments");
    await server.call("PATCH", `/environments/${environments[0].id}`, { portal_frame_origins: [hostUrl()] });
    const page = await openPage(browser);
    await page.goto(hostUrl());
    const frame = frameOf(page);
    await frame.getByRole("heading", { name: "Endpunkte", exact: true }).waitFor();
    const accent = await frame.locator("html").evaluate((root) => root.style.getPropertyValue("--accent"));
    assert.equal(accent, "#0f766e");
    await until(
      async () => (await page.locator("iframe").evaluate((one) => one.style.height)) !== "",
      "a height",
    );
    await frame.getByRole("button", { name: "Endpunkt hinzufügen" }).first().click();
    await frame.getByLabel("URL").fill(receiver.url);
    await frame.getByRole("button", { name: "Hinzufügen", exact: true }).click();
    await frame.getByRole("button", { name: "Testereignis senden" }).click();
    await until(() => receiver.requests.length === 1, "the test event arrived");
    await frame.getByText("Angekommen").first().waitFor();
    await frame.getByRole("link", { name: "Verlauf" }).click();
    const change = frame.getByRole("link", { name: /Endpunkt hinzugefügt.*Ihr Portal/ });
    await change.waitFor();
    await change.click();
    await frame.getByRole("button", { name: "Testereignis senden" }).waitFor();
    assert.deepEqual(page.problems, []);
    const portal = page.frames().find((one) => one.url().includes("/portal"));
    assert.ok(!portal.url().includes("token="), portal.url());
    assert.deepEqual(await findings(portal), []);
    // The token ends; the product's page is asked for another, and nothing is lost from view.
    await page.evaluate(() =>
      document
        .querySelector("iframe")
        .contentWindow.postMessage({ type: "hookstream:token", token: "ended" }, "*"),
    );
    await frame.getByRole("link", { name: "Nachrichten" }).click();
    await frame.getByText("hookstream.test").first().waitFor();
    await page.context().close();
  });

  test("every page is accessible, in each language and at phone width", async () => {
    for (const [locale, width] of [
      ["en", 1160],
      ["es", 390],
      ["ja", 390],
      ["de", 1160],
    ]) {
      const page = await openPage(browser, { viewport: { width, height: 800 } });
      const { url } = await server.call("POST", "/applications/saltmarsh/portal-access");
      await page.goto(url.replace("#", `&locale=${locale}&darkMode=${width === 390}#`));
      await page.getByRole("main").getByRole("heading").first().waitFor();
      for (const place of [
        "#/endpoints",
        "#/messages",
        "#/catalogue",
        "#/catalogue/order.created",
        "#/activity",
      ]) {
        await page.evaluate((hash) => (location.hash = hash), place);
        await page.waitForLoadState("networkidle");
        assert.deepEqual(await findings(page), [], `${locale} ${place}`);
      }
      assert.equal(
        await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        true,
        locale,
      );
      assert.deepEqual(page.problems, []);
      await page.context().close();
    }
  });

  test("errors are told in the customer's language", async () => {
    const page = await openPage(browser);
    const { url } = await server.call("POST", "/applications/saltmarsh/portal-access");
    await page.goto(url.replace("#", "&locale=es#"));
    await page.getByRole("button", { name: "Añadir endpoint" }).first().click();
    await page.getByLabel("URL").fill("http://10.0.0.1/");
    await page.getByRole("button", { name: "Añadir", exact: true }).click();
    await page.getByText("Esta dirección no puede recibir mensajes").waitFor();
    await page.context().close();
  });

  test("read-only access shows everything and offers no act", async () => {
    const page = await openPage(browser);
    const { url } = await server.call("POST", "/applications/saltmarsh/portal-access", { read_only: true });
    await page.goto(url.replace("#", "&locale=en#"));
    const { endpoints } = await server.call("GET", "/applications/saltmarsh/endpoints");
    const { messages } = await server.call("GET", "/messages?limit=1");
    for (const [place, text] of [
      ["#/endpoints", "Working"],
      [`#/endpoints/${endpoints[0].id}`, "Signing secret"],
      [`#/messages/${messages[0].id}`, "What happened"],
      ["#/activity", "Endpoint added"],
    ]) {
      await page.evaluate((hash) => (location.hash = hash), place);
      await page.getByText(text).first().waitFor();
      const names = await page.getByRole("button").allTextContents();
      const acts = names.filter((name) => /Add|Edit|More|Send|Switch|Rotate|Show|Try|Change/.test(name));
      assert.deepEqual(acts, [], place);
    }
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });

  test("its token opens nothing else", async () => {
    for (const path of ["/applications", "/messages", "/auth/session", "/environments"]) {
      const answer = await fetch(`${server.url}/v1${path}`, {
        headers: { authorization: `Bearer ${access.token}` },
      });
      assert.equal(answer.status, 401, path);
    }
  });

  /** Opens the portal in English and returns the page and the card. */
  async function openCard(access = {}, options = {}) {
    const page = await openPage(browser, options);
    const { url } = await server.call("POST", "/applications/saltmarsh/portal-access", access);
    await page.goto(url.replace("#", "&locale=en#"));
    const heading = page.getByRole("heading", { name: "Mail about problems" });
    await heading.waitFor();
    return [page, page.locator("section").filter({ has: heading })];
  }

  test("a customer confirms an address for mail about problems, chooses events, and stops it", async () => {
    const [page, card] = await openCard();
    await card.getByLabel("Email address").fill("dev@localhost");
    await card.getByRole("button", { name: "Send code" }).click();
    await card.getByText("This email address").waitFor();
    await card.getByLabel("Email address").fill("dev@acme.example");
    await card.getByRole("button", { name: "Send code" }).click();
    await card.getByText("We mailed a code of six digits to dev@acme.example").waitFor();
    await until(() => mailServer.mails.length === 1, "the mail with the code");
    const code = /^(\d{6})$/m.exec(mailServer.mails[0])[1];
    const field = card.getByLabel("Code");
    assert.equal(await field.evaluate((one) => one === document.activeElement), true);
    assert.deepEqual(await findings(page), []);
    await field.fill(code === "000000" ? "000001" : "000000");
    await card.getByRole("button", { name: "Confirm" }).click();
    await card.getByText("This code is wrong").waitFor();
    await field.fill(code);
    await card.getByRole("button", { name: "Confirm" }).click();
    await card.getByText("Mail goes to dev@acme.example").waitFor();
    assert.deepEqual(await findings(page), []);
    await card.getByLabel("an endpoint is switched off").uncheck();
    const save = card.getByRole("button", { name: "Save" });
    await save.click();
    await until(() => save.isDisabled(), "the choice is saved");
    await card.getByLabel("an endpoint fails or works again").uncheck();
    await card.getByText("Choose at least one").waitFor();
    assert.equal(await save.isDisabled(), true);
    assert.equal(mailServer.mails.length, 1);

    const [looker, shown] = await openCard({ read_only: true }, { viewport: { width: 390, height: 800 } });
    await shown.getByText("Mail goes to dev@acme.example").waitFor();
    assert.deepEqual(await shown.getByRole("listitem").allTextContents(), [
      "an endpoint fails or works again",
    ]);
    assert.equal(await shown.getByRole("button").count(), 0);
    assert.deepEqual(await findings(looker), []);
    await looker.context().close();

    await card.getByRole("button", { name: "Stop mail" }).click();
    await card.getByLabel("Email address").waitFor();
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });
});
