import { expect, test } from "vitest";
import { composeTitle } from "./useTitle";

test("what is urgent comes first in the title of every page", () => {
  expect(composeTitle("", "")).toBe("Doorbuster");
  expect(composeTitle("", "Lamp")).toBe("Lamp · Doorbuster");
  expect(composeTitle("● Your turn", "Your orders")).toBe("● Your turn · Your orders · Doorbuster");
  expect(composeTitle("3 ahead", "")).toBe("3 ahead · Doorbuster");
});
