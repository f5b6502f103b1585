import { expect, test } from "vitest";
import { readProviderFailures } from "./providerHealth";

const tables = { eventsBehind: 0, secondsBehind: 0 };
const read = (component: object) =>
  readProviderFailures({ ok: false, version: "1", components: [component], tables });

test("only providers that fail are named, by their code", () => {
  const components = [
    { name: "shop database", ok: false },
    { name: "sandbox", ok: true },
    {
      name: "stripe",
      ok: false,
      code: "provider_rights_missing",
      detail: "the key lacks rights: Disputes: read",
      missingRights: ["Disputes: read"],
    },
  ];
  expect(readProviderFailures({ ok: false, version: "1", components, tables })).toEqual([
    {
      provider: "stripe",
      code: "provider_rights_missing",
      detail: "the key lacks rights: Disputes: read",
      since: null,
      missingRights: ["Disputes: read"],
    },
  ]);
  const since = "2026-11-27T10:00:00Z";
  expect(read({ name: "stripe", ok: false, code: "provider_unavailable", since })[0]).toMatchObject({
    code: "provider_unavailable",
    since,
  });
  const healthy = [{ name: "stripe", ok: true }];
  expect(readProviderFailures({ ok: true, version: "1", components: healthy, tables })).toEqual([]);
});

test("a code of a later version is a failure that only the server can explain", () => {
  const failure = { name: "bank", ok: false, code: "provider_of_tomorrow", detail: "it is late" };
  expect(read(failure)).toEqual([
    { provider: "bank", code: null, detail: "it is late", since: null, missingRights: [] },
  ]);
});

test("a reply that is no report names no provider", () => {
  for (const reply of [undefined, null, "<html>", { code: "timeout" }, { components: "none" }]) {
    expect(readProviderFailures(reply)).toEqual([]);
  }
});
