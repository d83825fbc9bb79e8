import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import type { Connect, Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Address of the server that the development server forwards API requests to. */
const API = process.env["HOOKSTREAM_API"] ?? "http://127.0.0.1:8484";

/** Pages outside of /dashboard/ that are the same document (the server has the same list), and /dashboard itself. */
const ACCOUNT_PAGES =
  /^\/(sign-in|setup|invitation|forgot-password|reset-password)(\/|\?|$)|^\/dashboard(\?|$)/;

/** Page of the portal. */
const PORTAL = /^\/portal\/?(\?|$)/;

/** Forwards the API, and the WebSocket of the live stream; its origin has to be that of the page. */
const PROXY = { "/v1": { target: API, ws: true }, "/docs": API, "/metrics": API };

/** Answers addresses without a file with the application, while developing and in a preview. */
function accountPages(): Plugin {
  const answer: Connect.NextHandleFunction = (request, _response, next) => {
    if (request.url !== undefined && ACCOUNT_PAGES.test(request.url)) request.url = "/dashboard/";
    if (request.url !== undefined && PORTAL.test(request.url)) request.url = "/dashboard/portal.html";
    next();
  };
  return {
    name: "account-pages",
    configureServer: (server) => void server.middlewares.use(answer),
    configurePreviewServer: (server) => void server.middlewares.use(answer),
  };
}

/** Content security policy of the server (crates/hookstream-dashboard), so that a preview shows what it forbids. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

export default defineConfig({
  base: "/dashboard/",
  plugins: [react(), accountPages()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: { proxy: PROXY },
  preview: { proxy: PROXY, headers: { "content-security-policy": POLICY } },
  build: {
    target: "es2022",
    // The content security policy allows no data: addresses.
    assetsInlineLimit: 0,
    // A further entry is a further HTML file here.
    rollupOptions: {
      input: {
        index: fileURLToPath(new URL("./index.html", import.meta.url)),
        portal: fileURLToPath(new URL("./portal.html", import.meta.url)),
      },
    },
    chunkSizeWarningLimit: 900,
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.{ts,tsx}"],
    env: { TZ: "UTC" },
  },
});
