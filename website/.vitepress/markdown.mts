// Markdown of the pages: fragments as GitHub forms them, links that lead out of the site, braces in code spans.

import { posix } from "node:path";

import type { MarkdownRenderer } from "vitepress";

/** Paths of the program outside of this site. */
const ELSEWHERE = /^\/(docs|dashboard|portal|metrics|v1)(\/|$|#)/;

/** Fragment of a heading. `xtask tidy` forms the same when it checks links. */
export function headingId(title: string): string {
  return title
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replace(/ /g, "-");
}

export function rules(md: MarkdownRenderer): void {
  // A link to a file of the repository that is no page keeps its text only: the site is read without the repository.
  md.core.ruler.push("links-to-the-repository", (state) => {
    const folder = posix.dirname(state.env.relativePath ?? "");
    for (const token of state.tokens) {
      let isOutside = false;
      for (const child of token.children ?? []) {
        if (child.type === "link_open") isOutside = leadsOutside(folder, String(child.attrGet("href")));
        if (isOutside && (child.type === "link_open" || child.type === "link_close")) {
          isOutside = child.type === "link_open";
          child.type = "text";
          child.content = "";
        }
      }
    }
  });

  // Two braces in a code span are text, as in a code block.
  const code = md.renderer.rules.code_inline!;
  md.renderer.rules.code_inline = (tokens, index, options, env, self) =>
    code(tokens, index, options, env, self).replace(/^<code/, "<code v-pre");

  // A page of the program itself is no page of the site: the browser loads it.
  const inner = md.renderer.rules.link_open!;
  md.renderer.rules.link_open = (tokens, index, options, env, self) => {
    const token = tokens[index];
    if (!ELSEWHERE.test(String(token.attrGet("href")))) return inner(tokens, index, options, env, self);
    token.attrSet("target", "_self");
    return self.renderToken(tokens, index, options);
  };
}

function leadsOutside(folder: string, href: string): boolean {
  const isRelative = !/^([a-z]+:|\/|#)/i.test(href);
  const isPage = /^[^#]*\.md(#|$)/.test(href);
  return isRelative && (!isPage || posix.join(folder, href).startsWith(".."));
}
