/** What is wrong with a JSON text or schema, and in which line. */

export interface JsonProblem {
  /** Counted from 1; 0 if the place is not known. */
  line: number;
  message: string;
}

/** Returns why a text is no JSON, or null. Browsers name the place by line or by position. */
export function jsonProblem(text: string): JsonProblem | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    const message = error instanceof Error ? error.message : "";
    return { line: lineOf(message, text), message: `This is no JSON: ${withoutPlace(message)}.` };
  }
}

function lineOf(message: string, text: string): number {
  const line = /line (\d+)/.exec(message)?.[1];
  if (line !== undefined) return Number(line);
  const position = /position (\d+)/.exec(message)?.[1];
  // Without a place, the text ends too early.
  return text.slice(0, position === undefined ? text.length : Number(position)).split("\n").length;
}

function withoutPlace(message: string): string {
  return message
    .replace(/^JSON\.parse: /, "")
    .replace(/( in JSON)? at (position|line) .*$/, "")
    .replace(/^./, (first) => first.toLowerCase());
}

/** Returns the problem of a schema that the server refused: its sentence, at the line of the part that it names. */
export function schemaProblem(sentence: string, text: string): JsonProblem {
  const pointer = /(?:^|[\s`#"])((?:\/[\w$.~-]+)+)/.exec(sentence)?.[1];
  return { line: pointer === undefined ? 0 : lineOfPointer(text, pointer), message: sentence };
}

/** Returns the line of the last key of a JSON pointer, found by its keys in their order; 0 if one is missing. */
export function lineOfPointer(text: string, pointer: string): number {
  let place = 0;
  for (const key of pointer.split("/").slice(1)) {
    if (/^\d+$/.test(key)) continue;
    const found = text.indexOf(JSON.stringify(key.replaceAll("~1", "/").replaceAll("~0", "~")), place);
    if (found === -1) return 0;
    place = found;
  }
  return text.slice(0, place).split("\n").length;
}
