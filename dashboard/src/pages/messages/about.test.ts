import { expect, test } from "vitest";
import { aboutOf } from "./about";

const about = (data: object) => aboutOf(JSON.stringify({ type: "x", data }));

test("an event names the application, the job, the quota or the node that it is about", () => {
  expect(about({ application_id: "01890a5d4c6e7f3a8b1c2d3e4f506172", application_uid: "acme" })).toBe("acme");
  expect(about({ application_id: "01890a5d4c6e7f3a8b1c2d3e4f506172", application_uid: null })).toContain(
    "4f506172",
  );
  expect(about({ job_id: "1", kind: "recover", status: "completed", application_uid: "acme" })).toBe(
    "recover completed",
  );
  expect(about({ quota: "events_per_month" })).toBe("events per month");
  expect(about({ node: "0", name: "hooks-2" })).toBe("hooks-2");
});

test("a payload that is gone or is no event is about nothing", () => {
  expect(aboutOf(null)).toBe("");
  expect(aboutOf("not json")).toBe("");
  expect(aboutOf("[]")).toBe("");
  expect(aboutOf('{"test":true}')).toBe("");
});
