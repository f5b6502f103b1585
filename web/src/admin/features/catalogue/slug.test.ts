import { expect, test } from "vitest";
import { isSlug, suggestSlug } from "./slug";

test("a suggested slug comes from the name, is free, and never looks like an id", () => {
  const none = new Set<string>();
  expect(suggestSlug("The  Big: Drop!", none)).toBe("the-big-drop");
  expect(suggestSlug("Größe Ça va", none)).toBe("groesse-ca-va");
  expect(suggestSlug("日本", none)).toBe("sale");
  expect(suggestSlug("<script>alert(1)</script>", none)).toBe("script-alert-1-script");
  expect(suggestSlug("Lamp", new Set(["lamp", "lamp-2"]))).toBe("lamp-3");
  for (const name of ["0".repeat(32), "x".repeat(500), "0190f3a4-0000-7000-8000-000000000000", "--"]) {
    expect(isSlug(suggestSlug(name, none)), name).toBe(true);
  }
  for (const bad of ["", "A", "a b", "a".repeat(65), "0".repeat(32)]) expect(isSlug(bad), bad).toBe(false);
});
