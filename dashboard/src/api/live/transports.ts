/** Connections that carry the frames of the live stream (docs/reference/realtime.md): a WebSocket and server-sent events. */

/** Frame of the live stream, as far as it is used. */
export interface Frame {
  type: string;
  channel?: string;
  dropped?: number;
  /** `node` if the events of other nodes are not heard. */
  reach?: string;
}

/** Open connection. */
export interface Connection {
  /** Takes the channels to hear from now on. */
  listen(channels: ReadonlySet<string>): void;
  close(): void;
}

/** Opens a connection. It calls `heard` for each frame, and `ended` once when it is over, but not after `close`. */
export type Transport = (heard: (frame: Frame) => void, ended: () => void) => Connection;

/** Every channel that a page may need; server-sent events name them when they connect. */
const CHANNELS = ["messages", "attempts", "endpoints", "jobs"];
const FRAMES = ["welcome", "message", "delivery", "endpoint", "job", "gap", "error"];

/** A connection that is silent for this long is asked whether it still is one. */
const PING_MS = 20_000;
const ANSWER_MS = 10_000;
/** Time in which a connection has to open. */
const OPEN_MS = 5_000;

export function webSocket(envId: string | null): Transport {
  return (heard, ended) => {
    const url = new URL("/v1/ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (envId !== null) url.searchParams.set("env_id", envId);
    const socket = new WebSocket(url);
    const told = new Set<string>();
    let wanted: ReadonlySet<string> = new Set();
    let isOver = false;
    let timer = setTimeout(end, OPEN_MS);
    const say = (type: string, channel?: string) => socket.send(JSON.stringify({ type, channel }));
    const sync = () => {
      if (socket.readyState !== WebSocket.OPEN) return;
      for (const channel of wanted) if (!told.has(channel)) say("subscribe", channel);
      for (const channel of told) if (!wanted.has(channel)) say("unsubscribe", channel);
      told.clear();
      for (const channel of wanted) told.add(channel);
    };
    const isAlive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        say("ping");
        timer = setTimeout(end, ANSWER_MS);
      }, PING_MS);
    };
    function close() {
      isOver = true;
      clearTimeout(timer);
      socket.close();
    }
    function end() {
      if (isOver) return;
      close();
      ended();
    }
    socket.addEventListener("open", () => {
      if (isOver) return;
      isAlive();
      sync();
    });
    socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      if (isOver) return;
      isAlive();
      const frame = frameOf(data);
      if (frame !== null) heard(frame);
    });
    socket.addEventListener("close", end);
    return {
      listen(channels) {
        wanted = new Set(channels);
        sync();
      },
      close,
    };
  };
}

export function serverSentEvents(envId: string | null): Transport {
  return (heard, ended) => {
    const query = new URLSearchParams({ channel: CHANNELS.join(",") });
    if (envId !== null) query.set("env_id", envId);
    const source = new EventSource(`/v1/stream?${query.toString()}`);
    let isOver = false;
    const close = () => {
      isOver = true;
      clearTimeout(timer);
      source.close();
    };
    const end = () => {
      if (isOver) return;
      close();
      ended();
    };
    const timer = setTimeout(end, OPEN_MS);
    for (const type of FRAMES) {
      source.addEventListener(type, (event) => {
        // A lost connection is an event of the name "error" as well, without data.
        if (!(event instanceof MessageEvent)) return end();
        clearTimeout(timer);
        const frame = frameOf(event.data);
        if (!isOver && frame !== null) heard(frame);
      });
    }
    return { listen: () => undefined, close };
  };
}

/** Returns the frame of a text; null for what is none. */
export function frameOf(data: unknown): Frame | null {
  if (typeof data !== "string") return null;
  try {
    const frame: unknown = JSON.parse(data);
    return typeof (frame as Frame | null)?.type === "string" ? (frame as Frame) : null;
  } catch {
    return null;
  }
}
