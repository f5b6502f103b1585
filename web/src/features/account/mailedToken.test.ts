import { expect, test } from "vitest";
import { readMailedToken } from "./mailedToken";

test("a link's token is read from behind the number sign", () => {
  expect(readMailedToken("#token=dbm_a-b_c")).toBe("dbm_a-b_c");
  for (const hash of ["", "#", "#token=", "#other=1"]) expect(readMailedToken(hash), hash).toBeNull();
});
