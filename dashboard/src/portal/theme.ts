/**
 * Theme of the portal, from the address and from the application. The accent is any color: its text on the page is
 * darkened or lightened until it can be read, and state colors never change.
 */
import { clampChroma, converter, formatHex, parse, wcagContrast } from "culori";
import type { Schemas } from "@/api/client";

export interface PortalTheme {
  primaryColor?: string | undefined;
  primaryColorLight?: string | undefined;
  primaryColorDark?: string | undefined;
  scheme?: "light" | "dark" | "auto" | undefined;
  fontFamily?: string | undefined;
  icon?: string | undefined;
}

/** Theme as the API has it. */
type StoredTheme = Schemas["PortalTheme"];

const COLOR = /^#?[0-9a-f]{6}$/i;
const FONT = /^[\p{L}\p{N} -]{1,64}$/u;
/** Least contrast of text (WCAG 2.2, 1.4.3). */
const LEAST = 4.5;
const toOklch = converter("oklch");

/** Returns the theme in an address, with the names that Svix's portal reads. */
export function themeOfAddress(search: string): PortalTheme {
  const query = new URLSearchParams(search);
  const color = (name: string) => {
    const value = query.get(name);
    return value !== null && COLOR.test(value) ? value : undefined;
  };
  const [font, icon, dark] = [query.get("fontFamily"), query.get("icon"), query.get("darkMode")];
  return {
    primaryColor: color("primaryColor"),
    primaryColorLight: color("primaryColorLight"),
    primaryColorDark: color("primaryColorDark"),
    scheme: dark === "true" ? "dark" : dark === "false" ? "light" : dark === "auto" ? "auto" : undefined,
    fontFamily: font !== null && FONT.test(font) ? font : undefined,
    icon: icon !== null && icon.startsWith("https://") ? icon : undefined,
  };
}

/** Returns the theme of the address, with the application's where it has none. */
export function withStored(theme: PortalTheme, stored: StoredTheme): PortalTheme {
  const hasColor = theme.primaryColor ?? theme.primaryColorLight ?? theme.primaryColorDark;
  const colors =
    hasColor === undefined
      ? {
          primaryColor: stored.primary_color,
          primaryColorLight: stored.primary_color_light,
          primaryColorDark: stored.primary_color_dark,
        }
      : {};
  return {
    ...theme,
    ...colors,
    scheme: theme.scheme ?? stored.color_scheme,
    fontFamily: theme.fontFamily ?? stored.font_family,
    icon: theme.icon ?? stored.icon,
  };
}

/** Returns the color scheme to show. A frame stays light unless its page says otherwise. */
export function schemeOf(theme: PortalTheme, isSystemDark: boolean): "light" | "dark" {
  if (theme.scheme === "auto") return isSystemDark ? "dark" : "light";
  return theme.scheme ?? "light";
}

/** Colors that follow from the accent in one scheme. */
export interface Accent {
  fill: string;
  hover: string;
  ink: string;
  tint: string;
  onFill: string;
}

const PAGE = { light: "#ffffff", dark: "#121317" };
const INK = "#14171c";

/** Returns the colors of an accent; null if the color cannot be read. */
export function accentOf(color: string, scheme: "light" | "dark"): Accent | null {
  const parsed = parse(color.startsWith("#") ? color : `#${color}`);
  const base = parsed && toOklch(parsed);
  if (!base) return null;
  const at = (l: number, c = base.c) => formatHex(clampChroma({ ...base, l, c }, "oklch"));
  // Text on the fill is white or ink; a fill between both is darkened until white can be read.
  let fillLightness = base.l;
  const best = () =>
    Math.max(wcagContrast(at(fillLightness), "#ffffff"), wcagContrast(at(fillLightness), INK));
  while (best() < LEAST) fillLightness -= 0.01;
  const fill = at(fillLightness);
  const isDark = scheme === "dark";
  const tint = at(isDark ? 0.27 : 0.965, base.c * (isDark ? 0.4 : 0.15));
  let lightness = Math.min(0.99, Math.max(0.01, base.l));
  let ink = at(lightness);
  const isReadable = () => wcagContrast(ink, PAGE[scheme]) >= LEAST && wcagContrast(ink, tint) >= LEAST;
  while (!isReadable() && lightness > 0 && lightness < 1) {
    lightness += isDark ? 0.02 : -0.02;
    ink = at(lightness);
  }
  const onFill = wcagContrast(fill, "#ffffff") >= wcagContrast(fill, INK) ? "#ffffff" : INK;
  const hover = at(fillLightness + (onFill === INK ? 0.04 : -0.05));
  return { fill, hover, ink, tint, onFill };
}

/** Sets the theme on the document. */
export function applyTheme(theme: PortalTheme, scheme: "light" | "dark"): void {
  const style = document.documentElement.style;
  const own = scheme === "dark" ? theme.primaryColorDark : theme.primaryColorLight;
  const color = own ?? theme.primaryColor;
  const accent = color === undefined ? null : accentOf(color, scheme);
  const set = (name: string, value: string | undefined) =>
    value === undefined ? style.removeProperty(name) : style.setProperty(name, value);
  set("--accent", accent?.fill);
  set("--accent-hover", accent?.hover);
  set("--accent-ink", accent?.ink);
  set("--accent-bg", accent?.tint);
  set("--mantine-primary-color-contrast", accent?.onFill);
  const font = theme.fontFamily;
  set("--font-body", font === undefined ? undefined : `"${font}", system-ui, "Segoe UI", sans-serif`);
}
