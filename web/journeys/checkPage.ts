// Checks a page in light and dark and in three widths: no violation of WCAG 2.2 AA that axe finds, and nothing wider than the screen.
// With a folder in DOORBUSTER_SHOTS it also takes screenshots.

import { join } from "node:path";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { expect } from "vitest";

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

declare const window: {
  axe: {
    run: (
      context: unknown,
      options: object,
    ) => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
  };
};

export async function checkPage(page: Page, name: string): Promise<void> {
  const before = page.viewportSize();
  // Most pages are loaded when they are opened.
  await page.locator("h1").first().waitFor();
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    for (const [width, height] of [
      [320, 640],
      [390, 844],
      [1280, 800],
    ] as const) {
      await page.setViewportSize({ width, height });
      const scrollWidth = await page.evaluate("document.documentElement.scrollWidth");
      expect(scrollWidth, `${name} is wider than ${width} px`).toBeLessThanOrEqual(width);
      const folder = process.env.DOORBUSTER_SHOTS;
      if (folder && width > 320) {
        await page.screenshot({ path: join(folder, `${name}-${width}-${scheme}.png`), fullPage: true });
      }
    }
    await page.evaluate(axe.source);
    const result = await page.evaluate(
      (tags) => window.axe.run("html", { runOnly: { type: "tag", values: tags } }),
      RULES,
    );
    const violations = result.violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`,
    );
    expect(violations, `${name}, ${scheme}`).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "no-preference" });
  if (before) await page.setViewportSize(before);
}
