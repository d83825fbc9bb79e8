// Colours of code: Shiki marks each word with a class in place of an inline style, which the content security policy refuses.

import type { ThemeRegistration, ShikiTransformer } from "shiki";

/** Kinds of words, each with the TextMate scopes that it stands for. */
const KINDS: Record<string, string[]> = {
  comment: ["comment", "punctuation.definition.comment"],
  string: ["string", "punctuation.definition.string", "string.unquoted.plain.out.yaml"],
  keyword: ["keyword", "storage", "keyword.operator.new"],
  constant: ["constant", "variable.language", "support.constant"],
  name: ["entity.name.function", "support.function", "entity.name.command"],
  type: ["entity.name.type", "entity.name.class", "support.type", "support.class", "entity.name.tag"],
};

/** Colour that stands for a kind until the transformer replaces it. */
const colour = (kind: string) => `#0000${(Object.keys(KINDS).indexOf(kind) + 16).toString(16).toUpperCase()}`;

export const theme: ThemeRegistration = {
  name: "hookstream",
  type: "light",
  fg: "#000001",
  bg: "#000002",
  settings: [
    { settings: { foreground: "#000001", background: "#000002" } },
    ...Object.entries(KINDS).map(([kind, scope]) => ({ scope, settings: { foreground: colour(kind) } })),
  ],
};

export const transformer: ShikiTransformer = {
  name: "classes-for-styles",
  pre(node) {
    delete node.properties.style;
  },
  span(node) {
    const style = String(node.properties.style ?? "").toUpperCase();
    delete node.properties.style;
    const kind = Object.keys(KINDS).find((kind) => style.includes(colour(kind)));
    if (kind) node.properties.class = `code-${kind}`;
  },
};
