/** Words of the portal: ICU messages in the reader's language; numbers and times by the same locale. */
import IntlMessageFormat from "intl-messageformat";
import { createContext, type ReactNode, useContext, useMemo } from "react";
import { en, type MessageKey } from "./en";

export type { MessageKey } from "./en";
export type Catalogue = Record<MessageKey, string>;
export const LOCALES = ["en", "de", "es", "ja"] as const;
export type Locale = (typeof LOCALES)[number];
export type Values = Record<string, string | number | Date>;

const catalogues: Record<Locale, () => Promise<Catalogue>> = {
  en: () => Promise.resolve(en),
  de: () => import("./de").then((module) => module.de),
  es: () => import("./es").then((module) => module.es),
  ja: () => import("./ja").then((module) => module.ja),
};

/** Returns the language of the address, or the first that the browser prefers and the portal speaks. */
export function localeOf(search: string, preferred: readonly string[]): Locale {
  const asked = new URLSearchParams(search).get("locale");
  for (const tag of [...(asked === null ? [] : [asked]), ...preferred]) {
    const known = LOCALES.find((locale) => locale === tag.toLowerCase().split("-")[0]);
    if (known !== undefined) return known;
  }
  return "en";
}

export function loadCatalogue(locale: Locale): Promise<Catalogue> {
  return catalogues[locale]();
}

/** What a component needs to speak. */
export interface Words {
  locale: Locale;
  t: (key: MessageKey, values?: Values) => string;
  /** Returns whether there is a message of this key. */
  has: (key: string) => key is MessageKey;
  number: (value: number, digits?: number) => string;
  percent: (share: number) => string;
  /** Returns a time as its age: `41 s ago`, `3 hours ago`, a date. */
  ago: (time: Date, now: Date) => string;
  /** Returns a span of seconds: `2 min 51 s`. */
  span: (seconds: number) => string;
  exact: (time: Date) => string;
}

export function wordsOf(locale: Locale, catalogue: Catalogue): Words {
  const formats = new Map<string, IntlMessageFormat>();
  const decimal = (digits: number) => new Intl.NumberFormat(locale, { maximumFractionDigits: digits });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
  const unit = (name: string, value: number) =>
    new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: "short" }).format(value);
  const moment = { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" } as const;
  const date = new Intl.DateTimeFormat(locale, moment);
  const dateWithYear = new Intl.DateTimeFormat(locale, { ...moment, year: "numeric" });
  const full = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "long" });
  return {
    locale,
    has: (key): key is MessageKey => key in catalogue,
    t(key, values) {
      let format = formats.get(key);
      if (format === undefined) {
        format = new IntlMessageFormat(catalogue[key], locale);
        formats.set(key, format);
      }
      return String(format.format(values));
    },
    number: (value, digits = 0) => decimal(digits).format(value),
    percent: (share) =>
      new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 2 }).format(
        share >= 100 ? 1 : Math.min(share, 99.99) / 100,
      ),
    ago(time, now) {
      const seconds = Math.round((now.getTime() - time.getTime()) / 1000);
      if (seconds < 60) return relative.format(-Math.max(0, seconds), "second");
      if (seconds < 3600) return relative.format(-Math.floor(seconds / 60), "minute");
      if (seconds < 86_400) return relative.format(-Math.floor(seconds / 3600), "hour");
      return (time.getFullYear() === now.getFullYear() ? date : dateWithYear).format(time);
    },
    span(seconds) {
      const total = Math.max(0, Math.round(seconds));
      if (total < 60) return unit("second", total);
      if (total < 3600) return `${unit("minute", Math.floor(total / 60))} ${unit("second", total % 60)}`;
      if (total < 86_400)
        return `${unit("hour", Math.floor(total / 3600))} ${unit("minute", Math.floor((total % 3600) / 60))}`;
      return `${unit("day", Math.floor(total / 86_400))} ${unit("hour", Math.floor((total % 86_400) / 3600))}`;
    },
    exact: (time) => full.format(time),
  };
}

const WordsContext = createContext<Words | null>(null);

export function WordsProvider({
  locale,
  catalogue,
  children,
}: {
  locale: Locale;
  catalogue: Catalogue;
  children: ReactNode;
}) {
  const words = useMemo(() => wordsOf(locale, catalogue), [locale, catalogue]);
  return <WordsContext value={words}>{children}</WordsContext>;
}

export function useWords(): Words {
  const words = useContext(WordsContext);
  if (words === null) throw new Error("the component is inside of WordsProvider");
  return words;
}
