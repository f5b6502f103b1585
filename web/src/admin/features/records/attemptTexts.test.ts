import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { ATTEMPT_CODES, describeCode } from "./attemptTexts";

vi.stubGlobal("navigator", { languages: ["en-GB"] });

test("every code of an attempt is one of the API's, and has a text", () => {
  const docs = readFileSync(new URL("../../../../../docs/api.md", import.meta.url), "utf8");
  for (const code of ATTEMPT_CODES) {
    if (code !== "accepted") expect(docs, code).toContain(`\`${code}\``);
    expect(describeCode(code), code).not.toBe(code);
  }
  expect(describeCode("brand_new")).toBe("brand_new");
});
