// The documentation site as the binary serves it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { findings } from "./axe.mjs";
import { arrive, openPage, startBrowser, startServer } from "./server.mjs";

describe("documentation site", { timeout: 300_000 }, () => {
  let server, browser;
  before(async () => {
    [server, browser] = await Promise.all([startServer(), startBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("a reader finds a page by its words, without credentials", async () => {
    const page = await openPage(browser);
    await page.goto(`${server.url}/docs/guide`);
    await page.getByRole("heading", { name: "Hookstream", level: 1 }).waitFor();
    await page.getByRole("button", { name: "Search" }).click();
    await page.locator("#localsearch-input").fill("signature timestamp tolerance");
    await page.getByRole("option").first().waitFor();
    await page.keyboard.press("Enter");
    await arrive(page, /\/docs\/guide\/guides\/receivers\//);
    // The page was loaded by the site's script; the same address works for a browser that comes from elsewhere.
    await page.reload();
    await page.locator("h1").waitFor();
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });

  test("pages fit a phone, and have no serious finding in light and dark", async () => {
    for (const [colorScheme, width] of [
      ["light", 1440],
      ["dark", 390],
    ]) {
      const page = await openPage(browser, { colorScheme, viewport: { width, height: 900 } });
      for (const path of [
        "",
        "guides/receivers/verify",
        "reference/configuration",
        "runbooks/HookstreamDown",
      ]) {
        await page.goto(`${server.url}/docs/guide/${path}`, { waitUntil: "networkidle" });
        assert.deepEqual(await findings(page), [], `${colorScheme} ${path}`);
        const overhang = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overhang <= 0, `${path} is ${overhang} pixels wider than the window`);
      }
      assert.deepEqual(page.problems, []);
      await page.context().close();
    }
  });

  test("the API reference and the dashboard are pages of the program, not of the site", async () => {
    const page = await openPage(browser);
    await page.goto(`${server.url}/docs/guide/`, { waitUntil: "networkidle" });
    await page.getByRole("link", { name: "API", exact: true }).click();
    await arrive(page, /\/docs$/);
    await page.context().close();
  });
});
