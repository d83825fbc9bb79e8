// Measures the list of messages in a browser, with a server of its own:
//
//   HOOKSTREAM=<binary> node scripts/measure.mjs [rows=100000] [rate=200] [seconds=30]
//
// live: messages arrive at a rate while the list is open; reported are the tasks of the main thread over 50 ms.
// scroll: a list of many rows is read to its end and scrolled; reported are the times between two frames.
import { openPage, setUp, startBrowser, startReceiver, startServer, until } from "../e2e/server.mjs";

const options = Object.fromEntries(process.argv.slice(2).map((one) => one.split("=")));
const rows = Number(options.rows ?? 100_000);
const rate = Number(options.rate ?? 200);
const seconds = Number(options.seconds ?? 30);

const server = await startServer();
const receiver = await startReceiver();
const browser = await startBrowser();
try {
  const { application } = await server.call("POST", "/applications", { name: "Northwind" });
  await server.call("POST", `/applications/${application.id}/endpoints`, { url: receiver.url });
  const send = () =>
    server.call("POST", `/applications/${application.id}/messages`, {
      event_type: "invoice.paid",
      payload: { invoice: crypto.randomUUID(), amount: 1200, currency: "EUR" },
    });
  const page = await openPage(browser);
  await setUp(page, server);
  await send();
  await measureLive(page, send);
  await fill(send);
  await measureScroll(page);
} finally {
  await browser.close();
  await receiver.stop();
  await server.stop();
}

async function measureLive(page, send) {
  await page.goto(`${server.url}/dashboard/messages`);
  await page.getByRole("table", { name: "Messages" }).waitFor();
  await page.evaluate(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) globalThis.longTasks.push(entry.duration);
    }).observe({ type: "longtask" });
  });
  const end = Date.now() + seconds * 1000;
  const begin = Date.now();
  let sent = 0;
  const running = new Set();
  while (Date.now() < end) {
    while (sent < ((Date.now() - begin) * rate) / 1000) {
      sent += 1;
      const one = send().finally(() => running.delete(one));
      running.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all(running);
  const tasks = await page.evaluate(() => globalThis.longTasks);
  const pill = await page
    .getByRole("button", { name: /new messages/ })
    .textContent()
    .catch(() => "none");
  console.log(
    `live: ${sent} messages in ${seconds} s, arrived ${receiver.requests.length}, pill "${pill}", ` +
      `tasks over 50 ms: ${tasks.length}, longest ${Math.max(0, ...tasks)} ms`,
  );
}

/** Sends messages until the list has its rows, some at once. */
async function fill(send) {
  let left = rows - rate * seconds;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await send();
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
}

/** Reads the list until it has its rows, and scrolls it: a short list first, for comparison. */
async function measureScroll(page) {
  await page.goto(`${server.url}/dashboard/messages`);
  const table = page.getByRole("table", { name: "Messages" });
  await table.waitFor();
  const count = async () => Number(await table.getAttribute("aria-rowcount"));
  for (const wanted of [500, rows]) {
    const began = Date.now();
    // The list reads on whenever its end is in view.
    await page.evaluate(() => {
      const scroller = document.querySelector("[data-scroll-restoration-id=Messages]");
      globalThis.toEnd = setInterval(() => (scroller.scrollTop = scroller.scrollHeight), 20);
    });
    await until(async () => (await count()) >= wanted, `${wanted} rows`, 1_800_000);
    const reading = ((Date.now() - began) / 1000).toFixed(0);
    const frames = await page.evaluate(scrollThrough);
    const at = (share) => frames[Math.floor((frames.length - 1) * share)].toFixed(1);
    console.log(
      `scroll: ${await count()} rows, the last of them read in ${reading} s; ${frames.length} frames, ` +
        `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms, ` +
        `later than 25 ms: ${frames.filter((time) => time > 25).length}`,
    );
  }
}

/** Scrolls in the page in steps of a fast wheel, from ten places of the list. Returns the sorted times between frames. */
async function scrollThrough() {
  clearInterval(globalThis.toEnd);
  const scroller = document.querySelector("[data-scroll-restoration-id=Messages]");
  const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const times = [];
  for (let part = 0; part < 10; part += 1) {
    scroller.scrollTop = ((scroller.scrollHeight - 20_000) * part) / 10;
    await nextFrame();
    await nextFrame();
    let before = await nextFrame();
    for (let frame = 0; frame < 60; frame += 1) {
      scroller.scrollTop += 240;
      const now = await nextFrame();
      times.push(now - before);
      before = now;
    }
  }
  return times.sort((a, b) => a - b);
}
