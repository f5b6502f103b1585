import { expect, test } from "vitest";
import { returnPath } from "./returnPath";

test("signing in never leads to another site", () => {
  expect(returnPath("?to=%2Fs%2Flamp")).toBe("/s/lamp");
  for (const bad of [
    "",
    "?to=//evil.example",
    "?to=https://evil.example",
    "?to=/%5Cevil.example",
    "?to=/sign-in",
  ]) {
    expect(returnPath(bad), bad).toBe("/");
  }
});
