import { expect, test } from "vitest";
import { scrapeConfig } from "./snippets";

test("the scrape configuration has the address of the installation", () => {
  const withKey = scrapeConfig("key", new URL("https://hooks.example.com/dashboard"));
  expect(withKey).toContain("scheme: https\n");
  expect(withKey).toContain('targets: ["hooks.example.com"]');
  expect(withKey).toContain("credentials_file");
  const local = scrapeConfig("key", new URL("http://127.0.0.1:8484/dashboard"));
  expect(local).toContain("scheme: http\n");
  expect(local).toContain('targets: ["127.0.0.1:8484"]');
});

test("the listener of the metrics has a port of its own and needs no key", () => {
  const config = scrapeConfig("listener", new URL("https://hooks.example.com:8443/dashboard"));
  expect(config).toContain('targets: ["hooks.example.com:9464"]');
  expect(config).not.toContain("credentials_file");
});
