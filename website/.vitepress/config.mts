// The documentation site: the pages of docs/, served by the program at /docs/guide without the Internet.

import { fileURLToPath } from "node:url";

import { defineConfig } from "vitepress";

import { theme, transformer } from "./code.mts";
import { moveInline } from "./inline.mts";
import { headingId, rules } from "./markdown.mts";
import { sidebar } from "./sidebar.mts";
import { tokens } from "./tokens.mts";

const base = "/docs/guide/";
const modules = (path: string) => fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));

export default defineConfig({
  title: "Hookstream",
  description: "Guides, reference and explanations of Hookstream, a webhook gateway in one binary.",
  lang: "en",
  base,
  srcDir: fileURLToPath(new URL("../../docs", import.meta.url)),
  cleanUrls: true,
  // The hash map of the pages is a file, because the content security policy allows no inline script.
  metaChunk: true,
  head: [["link", { rel: "icon", href: `${base}icon.svg`, type: "image/svg+xml" }]],
  // Without it, a style element would be inserted for a moment.
  appearance: { disableTransition: false },
  transformHtml: moveInline(base),
  markdown: {
    theme,
    codeTransformers: [transformer],
    anchor: { slugify: headingId },
    config: rules,
  },
  vite: {
    plugins: [tokens()],
    // The pages are outside of this folder, where Vue would not be found.
    resolve: {
      alias: [
        { find: /^vue\/server-renderer$/, replacement: modules("vue/server-renderer/index.mjs") },
        { find: /^vue$/, replacement: modules("vue/dist/vue.runtime.esm-bundler.js") },
      ],
    },
    // VitePress looks for static files beside the pages otherwise.
    publicDir: fileURLToPath(new URL("../public", import.meta.url)),
    server: { fs: { allow: [fileURLToPath(new URL("../..", import.meta.url))] } },
  },
  themeConfig: {
    logo: "/icon.svg",
    nav: [
      { text: "Guides", link: "/guides/install", activeMatch: "^/guides/" },
      { text: "Reference", link: "/reference/configuration", activeMatch: "^/reference/" },
      { text: "Explanation", link: "/explanation/reliability", activeMatch: "^/explanation/" },
      { text: "Runbooks", link: "/runbooks/", activeMatch: "^/runbooks/" },
    ],
    sidebar: sidebar(),
    outline: { level: [2, 3] },
    search: { provider: "local", options: { detailedView: true } },
  },
});
