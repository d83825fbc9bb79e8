// Moves inline scripts of the pages into files and drops inline styles, because the content security policy allows neither.
// The theme's style sheet has the two styles that VitePress writes into pages.

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { TransformContext } from "vitepress";

const SCRIPT = /<script(?: id="[^"]*")?>([\s\S]+?)<\/script>/g;
const STYLES = [' style="position:relative;"', ' style="--vp-vh:0px;"'];

/** Returns a hook for each page of the site with this base. The name of a file contains the hash of its content. */
export function moveInline(base: string) {
  return (html: string, _id: string, { siteConfig }: TransformContext): string => {
    const folder = join(siteConfig.outDir, "assets");
    mkdirSync(folder, { recursive: true });
    const page = html.replace(SCRIPT, (_, text: string) => {
      const hash = createHash("sha256").update(text).digest("base64url").slice(0, 8);
      writeFileSync(join(folder, `head.${hash}.js`), text);
      return `<script src="${base}assets/head.${hash}.js"></script>`;
    });
    return STYLES.reduce((text, style) => text.replaceAll(style, ""), page);
  };
}
