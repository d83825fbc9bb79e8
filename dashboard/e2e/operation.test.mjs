// The pages of operation in a browser: operational webhooks with real deliveries, backups of a real data directory, metrics.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

describe("operation", { timeout: 300_000 }, () => {
  let server, browser, receiver, owner, directory;
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "hookstream-e2e-backups-"));
    [server, browser, receiver] = await Promise.all([
      startServer({ HOOKSTREAM_BACKUP_DIR: directory }),
      startBrowser(),
      startReceiver(),
    ]);
    owner = await openPage(browser);
    await setUp(owner, server);
  });
  after(async () => {
    await browser?.close();
    await Promise.all([server?.stop(), receiver?.stop()]);
    rmSync(directory, { recursive: true, force: true });
  });

  /** Types of the operational messages that the receiver got. */
  const received = () => receiver.requests.map((request) => JSON.parse(request.body).type);

  test("an operational endpoint is added by clicking, and is told of a disabled endpoint", async () => {
    await owner.goto(`${server.url}/dashboard/operational-webhooks`);
    await owner.getByRole("heading", { name: "Hear of trouble before your customers do" }).waitFor();
    assert.deepEqual(await findings(owner), []);
    await owner.getByRole("button", { name: "Add endpoint…" }).click();
    const drawer = owner.getByRole("dialog");
    await drawer.getByLabel("URL").fill(receiver.url);
    await drawer.getByLabel("Description").fill("On-call pager");
    await drawer.getByText("Chosen events").click();
    await drawer.getByText("An endpoint was disabled, by a user").waitFor();
    // The choice begins with what a person should act on.
    assert.equal(await drawer.getByRole("checkbox", { name: "endpoint.disabled" }).isChecked(), true);
    assert.equal(await drawer.getByRole("checkbox", { name: "endpoint.created" }).isChecked(), false);
    await drawer.getByRole("checkbox", { name: "circuit.opened" }).check();
    assert.deepEqual(await findings(owner), []);
    await drawer.getByRole("button", { name: "Add endpoint" }).click();
    await drawer.getByText(/whsec_/).waitFor();
    await drawer.getByRole("button", { name: "Open the endpoint" }).click();
    await arrive(owner, /\/operational-webhooks\/endpoints\/[0-9a-f]{32}/);
    await owner.getByRole("heading", { name: "On-call pager" }).waitFor();
    assert.deepEqual(await findings(owner), []);

    await server.call("POST", "/applications", { name: "Haverbrook", uid: "haverbrook" });
    const { endpoint } = await server.call("POST", "/applications/haverbrook/endpoints", {
      url: receiver.url,
    });
    await server.call("PATCH", `/applications/haverbrook/endpoints/${endpoint.id}`, { status: "disabled" });
    // While an environment has no operational endpoint, the server looks for events each minute.
    await until(() => received().includes("endpoint.disabled"), "the receiver was told");
    assert.equal(received().includes("endpoint.created"), false);
    await owner.goto(`${server.url}/dashboard/operational-webhooks`);
    await owner.getByRole("link", { name: "endpoint.disabled" }).click();
    await arrive(owner, /\/operational-webhooks\/messages\/[0-9a-f]{32}/);
    await owner.getByRole("heading", { name: "How it arrived" }).waitFor();
    await owner.getByRole("heading", { name: /^Response/ }).waitFor();
    assert.deepEqual(await findings(owner), []);
    assert.deepEqual(owner.problems, []);
  });

  test("an operational endpoint sends a test, is paused, edited and deleted", async () => {
    await owner.goto(`${server.url}/dashboard/operational-webhooks`);
    await owner.getByRole("link", { name: "On-call pager" }).click();
    const before = receiver.requests.length;
    await owner.getByRole("button", { name: "Send test" }).click();
    await arrive(owner, /\/operational-webhooks\/messages\//);
    await until(() => receiver.requests.length > before, "the test arrived");
    await owner.goBack();
    await owner.getByRole("button", { name: "Pause" }).click();
    await owner.getByRole("button", { name: "Resume" }).click();
    await owner.getByRole("button", { name: "Pause" }).waitFor();
    await owner
      .getByRole("button", { name: /^Edit…/ })
      .first()
      .click();
    const drawer = owner.getByRole("dialog");
    await drawer.getByText("All events").click();
    await drawer.getByRole("button", { name: "Save" }).click();
    await owner.getByText("The endpoint is saved.").waitFor();
    const { endpoints } = await server.call("GET", "/operational-webhooks/endpoints");
    assert.deepEqual(
      endpoints.map((one) => [one.status, JSON.parse(one.filter_types ?? "[]")]),
      [["active", []]],
    );
    await owner.getByRole("tab", { name: "Signing" }).click();
    await owner.getByRole("button", { name: "Reveal" }).click();
    await owner.getByText(/whsec_/).waitFor();
    await owner.getByRole("button", { name: "More acts" }).click();
    await owner.getByRole("menuitem", { name: "Delete…" }).click();
    await owner.getByLabel("Type On-call pager").fill("On-call pager");
    await owner
      .getByRole("dialog")
      .getByRole("button", { name: /^Delete/ })
      .click();
    await arrive(owner, /\/dashboard\/operational-webhooks$/);
    await owner.getByRole("heading", { name: "Hear of trouble before your customers do" }).waitFor();
    assert.deepEqual(owner.problems, []);
  });

  test("a backup is made by a click and listed", async () => {
    await owner.goto(`${server.url}/dashboard/backups`);
    const rows = owner.getByRole("table", { name: "Kept backups" }).getByRole("row");
    await until(async () => (await rows.count()) === 2, "the backup of the start is listed");
    await owner.getByRole("button", { name: "Back up now" }).click();
    await until(async () => (await rows.count()) === 3, "the second one is listed");
    assert.equal(await rows.getByText("Verified", { exact: true }).count(), 2);
    assert.equal(readdirSync(directory).filter((name) => /^\d{4}-/.test(name)).length, 2);
    assert.deepEqual(await findings(owner), []);
    assert.deepEqual(owner.problems, []);
  });

  test("monitoring shows the numbers of the node and its address for Prometheus", async () => {
    await owner.goto(`${server.url}/dashboard/monitoring`);
    await owner.getByText("Unaccounted").waitFor();
    await owner.getByText(`targets: ["${new URL(server.url).host}"]`).waitFor();
    assert.deepEqual(await findings(owner), []);
    assert.deepEqual(owner.problems, []);
  });

  test("a viewer reads operational webhooks without acts, and no page of operators", async () => {
    const { environments } = await server.call("GET", "/environments");
    const invited = await server.call("POST", `/organizations/${environments[0].org_id}/invitations`, {
      email: "viewer@example.com",
      role: "viewer",
    });
    const viewer = await openPage(browser);
    const { pathname, hash } = new URL(invited.url);
    await viewer.goto(`${server.url}${pathname}${hash}`);
    await viewer.getByLabel("Name").fill("A Viewer");
    await fillPassword(viewer);
    await viewer.getByRole("button", { name: /join|accept|create/i }).click();
    await arrive(viewer, /\/dashboard/);
    const refused = [];
    viewer.on("response", (response) => {
      if (response.status() === 403) refused.push(response.url());
    });
    await viewer.goto(`${server.url}/dashboard/operational-webhooks`);
    await viewer.getByRole("heading", { name: "Hear of trouble before your customers do" }).waitFor();
    assert.equal(await viewer.getByRole("button", { name: /^Add/ }).count(), 0);
    const places = viewer.getByRole("navigation", { name: "Main" });
    await places.getByRole("link", { name: "Operational webhooks" }).first().waitFor();
    for (const name of ["Backups", "Monitoring"])
      assert.equal(await places.getByRole("link", { name }).count(), 0, name);
    assert.deepEqual(refused, []);
    await viewer.context().close();
  });
});
