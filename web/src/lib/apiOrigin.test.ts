import { afterEach, expect, test, vi } from "vitest";
import { apiOrigin, atApi, contentPolicy, parseApiUrl } from "./apiOrigin";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});

test("the setting is an origin or nothing", () => {
  expect(parseApiUrl(undefined)).toBeNull();
  expect(parseApiUrl(" ")).toBeNull();
  expect(parseApiUrl("https://api.shop.example")).toBe("https://api.shop.example");
  expect(parseApiUrl("http://127.0.0.1:8080/")).toBe("http://127.0.0.1:8080");
  for (const wrong of [
    "api.shop.example",
    "https://api.example/v1",
    "https://a@b.example",
    "ftp://a.example",
    "https://a?b=c",
  ]) {
    expect(() => parseApiUrl(wrong), wrong).toThrow("VITE_API_URL");
  }
});

test("requests go to the pages' own origin, or to the one of the build", () => {
  vi.stubGlobal("location", { origin: "https://shop.example" });
  expect(apiOrigin()).toBe("https://shop.example");
  expect(atApi("/img/lamp.png")).toBe("/img/lamp.png");
  vi.stubEnv("VITE_API_URL", "https://api.shop.example/");
  expect(apiOrigin()).toBe("https://api.shop.example");
  expect(atApi("/img/lamp.png")).toBe("https://api.shop.example/img/lamp.png");
  expect(atApi("https://cdn.example/lamp.png")).toBe("https://cdn.example/lamp.png");
});

test("the policy lets requests and sockets through to the API and nowhere else", () => {
  expect(contentPolicy("https://api.shop.example")).toContain(
    "connect-src https://api.shop.example wss://api.shop.example;",
  );
  expect(contentPolicy("http://127.0.0.1:8080")).toContain(
    "connect-src http://127.0.0.1:8080 ws://127.0.0.1:8080;",
  );
  expect(contentPolicy("https://api.shop.example")).not.toContain("unsafe");
});
