import { expect, test } from "vitest";
import { targetOf, withoutEnvironment } from "./linked-environment";

const SESSION = { org_id: "o1", env_id: "e1" };

test("a link to the selected environment turns nothing", () => {
  expect(targetOf({ org: "o1", env: "e1" }, SESSION)).toBeNull();
  expect(targetOf({}, SESSION)).toBeNull();
});

test("a link turns the session to its organization and environment", () => {
  expect(targetOf({ org: "o1", env: "e2" }, SESSION)).toEqual({ org_id: "o1", env_id: "e2" });
  expect(targetOf({ org: "o2", env: "e3" }, SESSION)).toEqual({ org_id: "o2", env_id: "e3" });
  expect(targetOf({ env: "e2" }, SESSION)).toEqual({ env_id: "e2" });
  expect(targetOf({ org: "o1", env: "e1" }, { org_id: null, env_id: null })).toEqual({
    org_id: "o1",
    env_id: "e1",
  });
});

test("the address keeps its other parameters", () => {
  expect(withoutEnvironment({ org: "o1", env: "e1", tab: "rules" })).toEqual({ tab: "rules" });
});
