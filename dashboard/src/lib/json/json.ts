/** JSON for reading: parsing columns that leave the server as JSON text, and a tokenizer for display. */

/** Kind of a token, by color. */
export type TokenKind = "key" | "string" | "number" | "punctuation" | "space";

export interface Token {
  kind: TokenKind;
  text: string;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]|\s+/gy;

/** Returns the lines of tokens of a JSON text, or null if it contains something else. */
export function tokenizeJson(text: string): Token[][] | null {
  const lines: Token[][] = [[]];
  const push = (token: Token) => lines[lines.length - 1]?.push(token);
  TOKEN.lastIndex = 0;
  let end = 0;
  for (let found = TOKEN.exec(text); found !== null; found = TOKEN.exec(text)) {
    end = TOKEN.lastIndex;
    const word = found[0];
    if (/^\s/.test(word)) {
      const parts = word.split("\n");
      parts.forEach((part, index) => {
        if (index > 0) lines.push([]);
        if (part !== "") push({ kind: "space", text: part });
      });
      continue;
    }
    push({ kind: kindOf(word, text, end), text: word });
  }
  return end === text.length ? lines : null;
}

function kindOf(word: string, text: string, end: number): TokenKind {
  if (word.startsWith('"')) return /^\s*:/.test(text.slice(end, end + 64)) ? "key" : "string";
  return /^[{}[\],:]$/.test(word) ? "punctuation" : "number";
}

/**
 * Returns a JSON text with line breaks and indentation. Numbers and duplicate keys stay as they are written, because
 * the text is never parsed into values.
 */
export function indentJson(text: string): string | null {
  const lines = tokenizeJson(text);
  if (lines === null) return null;
  const tokens = lines.flat().filter((token) => token.kind !== "space");
  let depth = 0;
  let out = "";
  tokens.forEach((token, index) => {
    const next = tokens[index + 1]?.text;
    const breakLine = () => (out += `\n${"  ".repeat(depth)}`);
    if ((token.text === "}" || token.text === "]") && !isEmptyPair(tokens[index - 1]?.text, token.text)) {
      depth -= 1;
      breakLine();
    }
    out += token.text;
    if (token.text === ":") out += " ";
    if (token.text === ",") breakLine();
    if ((token.text === "{" || token.text === "[") && !isEmptyPair(token.text, next)) {
      depth += 1;
      breakLine();
    }
  });
  return out;
}

function isEmptyPair(open: string | undefined, close: string | undefined): boolean {
  return (open === "{" && close === "}") || (open === "[" && close === "]");
}

/** Returns the list in a JSON column, or an empty one. */
export function listOf(column: string | null | undefined): string[] {
  const value = parsed(column);
  return Array.isArray(value) ? value.map(String) : [];
}

/** Returns the object in a JSON column, or an empty one. */
export function objectOf(column: string | null | undefined): Record<string, unknown> {
  const value = parsed(column);
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function parsed(column: string | null | undefined): unknown {
  if (column === null || column === undefined || column === "") return null;
  try {
    return JSON.parse(column);
  } catch {
    return null;
  }
}
