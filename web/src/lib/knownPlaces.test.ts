import { QueryClient } from "@tanstack/react-query";
import { beforeEach, expect, test } from "vitest";
import { forgetPlace, knownPlaces, rememberPlace, watchPlaces } from "./knownPlaces";
import { queryKeys } from "./queryKeys";
import { session, type User } from "./session";
import { makePlace as place } from "./testFixtures";

const user = (id: string) => ({ status: "in", user: { id } as User }) as const;
const saleIds = () => knownPlaces.get().saleIds;

beforeEach(() => {
  knownPlaces.set({ userId: "", saleIds: [] });
  session.set(user("ada"));
});

test("a place is known from the reply or the message that brings it until it ends", () => {
  const queries = new QueryClient();
  const end = watchPlaces(queries);
  const show = (id: string, data: unknown) => queries.setQueryData(queryKeys.place(id), data);
  show("a", place());
  show("b", place({ status: "admitted" }));
  show("c", null);
  show("d", place({ status: "lapsed" }));
  queries.setQueryData(queryKeys.orders, { items: [] });
  expect(saleIds()).toEqual(["a", "b"]);
  show("a", place({ status: "over" }));
  show("b", null);
  expect(saleIds()).toEqual([]);
  end();
  show("a", place());
  expect(saleIds()).toEqual([]);
});

test("the places of one user are not those of the next, and nobody has any while signed out", () => {
  rememberPlace("a");
  rememberPlace("a");
  expect(knownPlaces.get()).toEqual({ userId: "ada", saleIds: ["a"] });
  session.set(user("grace"));
  rememberPlace("b");
  expect(knownPlaces.get()).toEqual({ userId: "grace", saleIds: ["b"] });
  forgetPlace("b");
  session.set({ status: "out" });
  rememberPlace("c");
  expect(saleIds()).toEqual([]);
});

test("only the newest places are kept", () => {
  for (let number = 0; number < 12; number++) rememberPlace(`sale ${number}`);
  expect(saleIds()).toHaveLength(10);
  expect(saleIds().at(-1)).toBe("sale 11");
});
