/**
 * Token of the portal. It comes behind the `#` of the address, is taken out of the address at once, is kept for the tab,
 * and is renewed before it expires. A page that embeds the portal can hand over another one.
 */

/** Messages between the portal and the page that embeds it. */
export const MESSAGES = {
  /** To the page: the portal's height changed. */
  height: "hookstream:height",
  /** To the page: the token has ended and could not be renewed. */
  tokenNeeded: "hookstream:token-needed",
  /** From the page: another token. */
  token: "hookstream:token",
} as const;

const STORED = "hookstream.portal.token";

export type TokenState = "open" | "missing" | "expired";

/** Part of the token's life after which it is renewed. */
const RENEW_AFTER = 5 / 6;
/** Shortest wait before a renewal. */
const LEAST_WAIT_MS = 5_000;

/** Returns the token in an address's fragment: `#token=…`, or Svix's `#key=…` with JSON in base64. */
export function tokenOf(fragment: string): string | null {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const token = fields.get("token");
  if (token) return token;
  const key = fields.get("key");
  if (!key) return null;
  try {
    const named = JSON.parse(atob(key)) as { token?: unknown };
    return typeof named.token === "string" ? named.token : null;
  } catch {
    return null;
  }
}

/** Returns when a token was made and when it ends, in milliseconds; the server alone checks the signature. */
export function lifeOf(token: string): { from: number; until: number } | null {
  try {
    const body = token.split(".")[1] ?? "";
    const claims = JSON.parse(atob(body.replaceAll("-", "+").replaceAll("_", "/"))) as Record<
      string,
      unknown
    >;
    const [from, until] = [Number(claims["iat"]), Number(claims["exp"])];
    return Number.isFinite(from) && Number.isFinite(until)
      ? { from: from * 1000, until: until * 1000 }
      : null;
  } catch {
    return null;
  }
}

/** Returns the wait until a token is renewed, by the server's clock in the token. */
export function waitOf(token: string, now: number): number {
  const life = lifeOf(token);
  if (life === null) return LEAST_WAIT_MS;
  const due = life.from + (life.until - life.from) * RENEW_AFTER;
  return Math.max(LEAST_WAIT_MS, due - now);
}

/** Keeps the token, and calls `listener` on each change. */
export class TokenStore {
  private token: string | null;
  private state: TokenState;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly renewed: (token: string) => Promise<string | null>) {
    const given = tokenOf(location.hash);
    if (given !== null) {
      // The token leaves the address bar, the history and what a person may copy.
      history.replaceState(null, "", `${location.pathname}${location.search}#/`);
    }
    this.token = given ?? stored();
    this.state = this.token === null ? "missing" : "open";
    if (this.token !== null) this.keep(this.token);
    window.addEventListener("message", (event) => {
      const data = event.data as { type?: unknown; token?: unknown } | null;
      const isFromParent = event.source === window.parent && window.parent !== window;
      if (isFromParent && data?.type === MESSAGES.token && typeof data.token === "string")
        this.set(data.token);
    });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly current = (): TokenState => this.state;

  bearer(): string | null {
    return this.token;
  }

  /** Called when the server refuses the token: the page that embeds the portal may have another. */
  refused(): void {
    if (this.state === "expired") return;
    clearTimeout(this.timer);
    store(null);
    this.change("expired");
    if (window.parent !== window) window.parent.postMessage({ type: MESSAGES.tokenNeeded }, "*");
  }

  private set(token: string): void {
    this.token = token;
    this.keep(token);
    this.change("open");
  }

  private keep(token: string): void {
    store(token);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.renew(), waitOf(token, Date.now()));
  }

  private async renew(): Promise<void> {
    if (this.token === null) return;
    const token = await this.renewed(this.token).catch(() => undefined);
    if (typeof token === "string") this.set(token);
    else if (token === null) this.refused();
    // No answer: once more, as long as the token lives.
    else this.timer = setTimeout(() => void this.renew(), LEAST_WAIT_MS * 4);
  }

  private change(state: TokenState): void {
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

/** Keeps the token for a reload. Browsers may refuse storage in a frame of another site; a reload then needs the address anew. */
function store(token: string | null): void {
  try {
    if (token === null) sessionStorage.removeItem(STORED);
    else sessionStorage.setItem(STORED, token);
  } catch {
    // Refused.
  }
}

function stored(): string | null {
  try {
    return sessionStorage.getItem(STORED);
  } catch {
    return null;
  }
}
