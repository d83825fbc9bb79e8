/** Appearance of the portal as a form has it: texts by field. */
import type { Schemas } from "@/api/client";

export const THEME_FIELDS = [
  "primary_color",
  "primary_color_light",
  "primary_color_dark",
  "color_scheme",
  "font_family",
  "icon",
] as const;

export type ThemeField = (typeof THEME_FIELDS)[number];
export type ThemeForm = Record<ThemeField, string>;

/** Returns the form of a stored theme, which is the JSON text of an object. */
export function themeForm(stored: string | null | undefined): ThemeForm {
  const theme = objectOf(stored);
  const entries = THEME_FIELDS.map((field) => {
    const value = theme[field];
    return [field, typeof value === "string" ? value : ""];
  });
  return Object.fromEntries(entries) as ThemeForm;
}

/** Returns the theme as the API takes it: fields with a value, or null without one. */
export function themeBody(form: ThemeForm): Schemas["PortalTheme"] | null {
  const entries = THEME_FIELDS.flatMap((field) => {
    const text = form[field].trim();
    return text === "" ? [] : [[field, field.startsWith("primary") ? text.replace(/^#/, "") : text]];
  });
  return entries.length === 0 ? null : (Object.fromEntries(entries) as Schemas["PortalTheme"]);
}

/** Returns a color that a swatch can show, or null. */
export function swatchOf(text: string): string | null {
  const digits = text.trim().replace(/^#/, "");
  return /^[0-9a-f]{6}$/i.test(digits) ? `#${digits}` : null;
}

/** Returns the origins of an environment, which are the JSON text of a list. */
export function originsOf(stored: string | null | undefined): string[] {
  try {
    const list: unknown = JSON.parse(stored ?? "[]");
    return Array.isArray(list) ? list.filter((one): one is string => typeof one === "string") : [];
  } catch {
    return [];
  }
}

function objectOf(stored: string | null | undefined): Record<string, unknown> {
  try {
    const theme: unknown = JSON.parse(stored ?? "{}");
    return typeof theme === "object" && theme !== null ? (theme as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
