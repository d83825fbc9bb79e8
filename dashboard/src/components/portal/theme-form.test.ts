import { expect, test } from "vitest";
import { originsOf, swatchOf, themeBody, themeForm } from "./theme-form";

test("a stored theme becomes a form and back", () => {
  const form = themeForm('{"primary_color":"2f55e0","color_scheme":"auto","other":1}');
  expect(form).toMatchObject({ primary_color: "2f55e0", color_scheme: "auto", icon: "" });
  expect(themeBody(form)).toEqual({ primary_color: "2f55e0", color_scheme: "auto" });
  expect(themeBody({ ...form, primary_color: " #AA00ff " })).toMatchObject({ primary_color: "AA00ff" });
});

test("no value is no theme", () => {
  expect(themeBody(themeForm(null))).toBeNull();
  expect(themeBody(themeForm("["))).toBeNull();
});

test("a swatch shows complete colors only", () => {
  expect(swatchOf("#2f55E0")).toBe("#2f55E0");
  expect(swatchOf("2f5")).toBeNull();
});

test("origins are a list", () => {
  expect(originsOf('["https://app.example.com"]')).toEqual(["https://app.example.com"]);
  expect(originsOf("x")).toEqual([]);
});
