/** Names of browsers and systems, for a list of sessions. */

/** Marks in a user agent. Browsers name their ancestors too, so the first that matches counts. */
const BROWSERS: [RegExp, string][] = [
  [/Edg\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\/|FxiOS\//, "Firefox"],
  [/Chrome\/|CriOS\//, "Chrome"],
  [/Safari\//, "Safari"],
];
const SYSTEMS: [RegExp, string][] = [
  [/iPhone|iPad/, "iOS"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/Mac OS X|Macintosh/, "macOS"],
  [/Linux/, "Linux"],
];

/** Returns a user agent in words, such as `Chrome on Linux`, or its first product if it is no known browser. */
export function programOf(userAgent: string | null | undefined): string {
  if (!userAgent) return "Unknown";
  const find = (marks: [RegExp, string][]) => marks.find(([mark]) => mark.test(userAgent))?.[1];
  const browser = find(BROWSERS);
  const system = find(SYSTEMS);
  if (browser === undefined) return userAgent.split(" ")[0] ?? userAgent;
  return system === undefined ? browser : `${browser} on ${system}`;
}
