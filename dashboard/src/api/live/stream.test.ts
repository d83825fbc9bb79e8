import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { LiveSource } from "./source";
import { streamSource } from "./stream";
import { frameOf, webSocket } from "./transports";

/** WebSocket that the test plays the server of. */
class FakeSocket extends EventTarget {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readonly url: string;
  readonly sent: { type: string; channel?: string }[] = [];
  readyState = 0;

  constructor(url: URL) {
    super();
    this.url = url.href;
    FakeSocket.all.push(this);
  }
  static get last(): FakeSocket {
    const last = FakeSocket.all.at(-1);
    if (last === undefined) throw new Error("nothing has connected");
    return last;
  }
  send(text: string) {
    this.sent.push(JSON.parse(text) as { type: string });
  }
  close() {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.dispatchEvent(new Event("close"));
  }
  /** The server accepts. */
  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
    this.say({ type: "welcome" });
  }
  say(frame: object, times = 1) {
    for (let i = 0; i < times; i += 1)
      this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(frame) }));
  }
}

/** Ends what the tests watch. */
const stops: (() => void)[] = [];
let isHidden = false;
let isReachable = true;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.spyOn(document, "hidden", "get").mockImplementation(() => isHidden);
  FakeSocket.all = [];
  isHidden = false;
  isReachable = true;
});
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  vi.runOnlyPendingTimers();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function sourceOf(): LiveSource {
  const source = streamSource({
    transports: [webSocket("env")],
    isReachable: () => Promise.resolve(isReachable),
    random: () => 1,
  });
  const { watch } = source;
  return {
    ...source,
    watch(...what) {
      const stop = watch(...what);
      stops.push(stop);
      return stop;
    },
  };
}

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

async function connected() {
  const source = sourceOf();
  const changed = vi.fn();
  const counted = vi.fn();
  const stop = source.watch("messages", changed, counted);
  await wait(1);
  const socket = FakeSocket.last;
  socket.open();
  await wait(2000);
  changed.mockClear();
  return { source, changed, counted, stop, socket };
}

test("one connection carries the channels of what is watched", async () => {
  const { source, socket, stop } = await connected();
  expect(new URL(socket.url)).toMatchObject({ protocol: "ws:", pathname: "/v1/ws", search: "?env_id=env" });
  const stopJobs = source.watch("jobs", () => undefined);
  source.watch("lanes", () => undefined);
  stop();
  stopJobs();
  source.watch("jobs", () => undefined);
  await wait(2000);
  expect(socket.sent).toEqual(
    [
      ["subscribe", "messages"],
      ["subscribe", "attempts"],
      ["subscribe", "jobs"],
      ["unsubscribe", "messages"],
      ["unsubscribe", "attempts"],
    ].map(([type, channel]) => ({ type, channel })),
  );
  expect(FakeSocket.all).toHaveLength(1);
  expect(source.state()).toBe("live");
});

test("watchers are told at most once a second, of their topic only", async () => {
  const { source, changed, socket } = await connected();
  const jobs = vi.fn();
  source.watch("jobs", jobs);
  socket.say({ type: "message" }, 3);
  await wait(1);
  expect(changed).toHaveBeenCalledTimes(1);
  socket.say({ type: "delivery" }, 5);
  await wait(500);
  expect(changed).toHaveBeenCalledTimes(1);
  await wait(600);
  expect(changed).toHaveBeenCalledTimes(2);
  await wait(5000);
  expect(changed).toHaveBeenCalledTimes(2);
  expect(jobs).not.toHaveBeenCalled();
});

test("above 50 changes a second new things are counted, and read when it is calm", async () => {
  const { changed, counted, socket } = await connected();
  socket.say({ type: "message" });
  await wait(1);
  expect(changed).toHaveBeenCalledTimes(1);
  for (let second = 0; second < 3; second += 1) {
    socket.say({ type: "message" }, 60);
    socket.say({ type: "delivery" }, 60);
    await wait(1000);
  }
  expect(changed).toHaveBeenCalledTimes(1);
  expect(counted.mock.calls).toEqual([[60], [60], [60]]);
  await wait(1000);
  expect(changed).toHaveBeenCalledTimes(2);
});

test("a lost connection is named after a second, and comes back with growing waits and a catch-up", async () => {
  const { source, changed, socket } = await connected();
  const heard = vi.fn();
  source.onState(heard);
  socket.close();
  expect(source.state()).toBe("live");
  await wait(1000);
  expect(source.state()).toBe("reconnecting");
  expect(heard).toHaveBeenCalled();
  isReachable = false;
  const tries = FakeSocket.all.length;
  FakeSocket.last.close();
  await wait(0);
  expect(source.outage()?.retryAt).toBe(Date.now() + 2000);
  await wait(2000);
  expect(FakeSocket.all).toHaveLength(tries + 1);
  FakeSocket.last.close();
  await wait(0);
  expect(source.outage()?.retryAt).toBe(Date.now() + 4000);
  await wait(4000);
  expect(changed).not.toHaveBeenCalled();
  FakeSocket.last.open();
  expect(source.state()).toBe("live");
  expect(source.outage()).toBeNull();
  expect(changed).toHaveBeenCalledTimes(1);
});

test("a server that answers without a stream is polled", async () => {
  const source = sourceOf();
  const changed = vi.fn();
  source.watch("lanes", changed);
  await wait(1);
  FakeSocket.last.close();
  await wait(1);
  expect(source.isPolled()).toBe(true);
  expect(source.state()).toBe("live");
  changed.mockClear();
  await wait(20_000);
  expect(changed).toHaveBeenCalledTimes(2);
  isReachable = false;
  await wait(11_000);
  expect(source.state()).toBe("reconnecting");
  FakeSocket.last.open();
  expect(source.isPolled()).toBe(false);
  expect(source.state()).toBe("live");
});

test("a stream of one node only is helped by a poll", async () => {
  const { changed, socket } = await connected();
  await wait(20_000);
  expect(changed).not.toHaveBeenCalled();
  socket.say({ type: "welcome", reach: "node" });
  await wait(10_000);
  expect(changed).toHaveBeenCalledTimes(1);
});

test("a hidden tab has no connection, and catches up when it is seen", async () => {
  const { source, changed, socket } = await connected();
  isHidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
  expect(socket.readyState).toBe(3);
  await wait(60_000);
  expect(FakeSocket.all).toHaveLength(1);
  isHidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  await wait(1);
  FakeSocket.last.open();
  expect(FakeSocket.all).toHaveLength(2);
  expect(changed).toHaveBeenCalledTimes(1);
  expect(source.state()).toBe("live");
});

test("paused means silent until it is resumed", async () => {
  const { source, changed, socket } = await connected();
  source.setPaused(true);
  expect(source.state()).toBe("paused");
  socket.say({ type: "message" });
  await wait(20_000);
  expect(changed).not.toHaveBeenCalled();
  source.setPaused(false);
  await wait(1);
  FakeSocket.last.open();
  expect(changed).toHaveBeenCalledTimes(1);
});

test("what was left out is summed up until the reload", async () => {
  const { source, changed, socket } = await connected();
  socket.say({ type: "gap", dropped: 300 });
  socket.say({ type: "gap", dropped: 12 });
  expect(source.dropped()).toBe(312);
  await wait(1000);
  changed.mockClear();
  source.reload();
  expect(source.dropped()).toBe(0);
  expect(changed).toHaveBeenCalledTimes(1);
});

test("a silent connection is asked, and given up without an answer", async () => {
  const { source, socket } = await connected();
  await wait(18_000);
  expect(socket.sent.at(-1)).toEqual({ type: "ping" });
  socket.say({ type: "pong" });
  await wait(20_000);
  expect(socket.readyState).toBe(1);
  await wait(10_000);
  expect(socket.readyState).toBe(3);
  expect(source.state()).toBe("live");
  await wait(1000);
  expect(source.state()).toBe("reconnecting");
});

test("what is no frame is passed over", () => {
  expect(frameOf("{")).toBeNull();
  expect(frameOf("null")).toBeNull();
  expect(frameOf(new Blob())).toBeNull();
  expect(frameOf('{"type":"pong"}')).toEqual({ type: "pong" });
});
