import { expect, test } from "vitest";
import { snippetOf } from "./portal-snippet";

test("the snippet names the server and holds no token", () => {
  const snippet = snippetOf("https://hooks.example.com/portal?env_id=e1#token=secret");
  expect(snippet).toContain('src="https://hooks.example.com/portal/hookstream-portal.js"');
  expect(snippet).toContain('url="https://hooks.example.com/portal?env_id=e1#token=…"');
  expect(snippet).not.toContain("secret");
});
