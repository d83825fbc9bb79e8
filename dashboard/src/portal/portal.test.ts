import { wcagContrast } from "culori";
import { describe, expect, test, vi } from "vitest";
import { en } from "./i18n/en";
import { wordsOf } from "./i18n";
import { hrefOf, placeOf } from "./place";
import { headersOf } from "./pages/EndpointForm";
import { takes } from "./pages/filter-types";
import { accentOf, schemeOf, themeOfAddress, withStored } from "./theme";
import { lifeOf, tokenOf, TokenStore, waitOf } from "./token";
import { sentencesOf } from "./why";

const token = (iat: number, exp: number) => `e30.${btoa(JSON.stringify({ iat, exp }))}.c2ln`;

describe("token", () => {
  test("is read from the fragment, as Svix writes it too", () => {
    expect(tokenOf("#token=a.b.c")).toBe("a.b.c");
    expect(tokenOf(`#key=${btoa(JSON.stringify({ appId: "acme", token: "a.b.c" }))}`)).toBe("a.b.c");
    for (const odd of ["", "#", "#/messages", "#key=%%%", "#key=e30"]) expect(tokenOf(odd)).toBeNull();
  });

  test("is renewed before it ends", () => {
    expect(lifeOf(token(100, 3700))).toEqual({ from: 100_000, until: 3_700_000 });
    expect(waitOf(token(100, 3700), 100_000)).toBe(3_000_000);
    expect(waitOf(token(100, 3700), 9_999_999)).toBe(5_000);
    expect(lifeOf("odd")).toBeNull();
  });

  test("leaves the address, is renewed silently, and ends when the server refuses", async () => {
    vi.useFakeTimers({ now: 100_000 });
    location.hash = `#token=${token(100, 3700)}`;
    const renewed = vi.fn((): Promise<string | null> => Promise.resolve(token(3100, 6700)));
    const store = new TokenStore(renewed);
    expect(location.hash).toBe("#/");
    expect([store.current(), store.bearer()]).toEqual(["open", token(100, 3700)]);
    await vi.advanceTimersByTimeAsync(3_000_001);
    expect(store.bearer()).toBe(token(3100, 6700));
    renewed.mockImplementation(() => Promise.resolve(null));
    await vi.advanceTimersByTimeAsync(3_000_001);
    expect(store.current()).toBe("expired");
    vi.useRealTimers();
  });
});

test("places have an address", () => {
  const href = hrefOf(["messages", "a/b"], { status: "failed", type: "", search: undefined });
  expect(href).toBe("#/messages/a%2Fb?status=failed");
  const place = placeOf(href);
  expect([place.path, place.query.get("status")]).toEqual([["messages", "a/b"], "failed"]);
  expect(placeOf("").path).toEqual([]);
});

describe("theme", () => {
  test.each(["ffff00", "000000", "ffffff", "2f55e0", "0f766e", "ff0000", "c0ffee"])(
    "text in the accent #%s can be read in both schemes",
    (color) => {
      for (const [scheme, page] of [
        ["light", "#ffffff"],
        ["dark", "#121317"],
      ] as const) {
        const accent = accentOf(color, scheme);
        if (accent === null) throw new Error("a color");
        expect(wcagContrast(accent.ink, page)).toBeGreaterThanOrEqual(4.5);
        expect(wcagContrast(accent.ink, accent.tint)).toBeGreaterThanOrEqual(4.5);
        expect(wcagContrast(accent.onFill, accent.fill)).toBeGreaterThanOrEqual(4.5);
      }
    },
  );

  test("values of the address are checked and precede the application's", () => {
    const address = themeOfAddress(
      "?primaryColor=0f766e&darkMode=true&fontFamily=Inter%3B%20color&icon=javascript:alert(1)",
    );
    expect(address).toEqual({ primaryColor: "0f766e", scheme: "dark" });
    const theme = withStored(address, {
      primary_color_dark: "ff0000",
      font_family: "Georgia",
      color_scheme: "light",
    });
    expect([theme.primaryColor, theme.primaryColorDark, theme.fontFamily, theme.scheme]).toEqual([
      "0f766e",
      undefined,
      "Georgia",
      "dark",
    ]);
    expect([schemeOf({}, true), schemeOf({ scheme: "auto" }, true)]).toEqual(["light", "dark"]);
  });
});

test("an explanation is told in the customer's words, without advice to the sender", () => {
  const now = new Date("2026-11-29T12:00:00Z");
  const statement = (code: string, params: Record<string, never> | Record<string, unknown>) => ({
    code,
    params: params as Record<string, never>,
    sentence: "POST /v1/applications/…",
  });
  const sentences = sentencesOf(
    [
      statement("last_attempt_failed", {
        response_status: 503,
        error: "http_status: the receiver responded with 503",
      }),
      statement("next_attempt_due", { due_at: "2026-11-29T12:05:00Z" }),
      statement("wait", {}),
      statement("of_a_later_version", {}),
    ],
    wordsOf("en", en),
    now,
  );
  expect(sentences).toEqual(["Your server answered 503.", "The next attempt is due in 5 minutes."]);
});

test("headers are written one a line", () => {
  expect(headersOf("Authorization: Bearer a:b\n\n X-Team :  a ")).toEqual({
    Authorization: "Bearer a:b",
    "X-Team": "a",
  });
  expect(headersOf("odd")).toBeNull();
  expect(headersOf("")).toEqual({});
});

test("an endpoint takes types by name, by prefix, or all", () => {
  const of = (types: string[] | null) => ({ filter_types: types === null ? null : JSON.stringify(types) });
  const type = { name: "invoice.paid" };
  expect([null, [], ["invoice.paid"], ["invoice.*"], ["*"]].map((types) => takes(of(types), type))).toEqual(
    Array(5).fill(true),
  );
  expect([["invoice"], ["order.*"]].map((types) => takes(of(types), type))).toEqual([false, false]);
});
