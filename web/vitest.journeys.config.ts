import { defineConfig } from "vitest/config";

// Browsers start slowly and share two cores with their servers, so two files run at a time, with few concurrent tests each and long
// timeouts. Each file has its own server and browser.
export default defineConfig({
  test: {
    include: ["journeys/**/*.test.ts"],
    environment: "node",
    maxWorkers: 2,
    maxConcurrency: 4,
    testTimeout: 90_000,
    hookTimeout: 60_000,
  },
});
