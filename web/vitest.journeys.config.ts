import { defineConfig } from "vitest/config";

// Browsers are slow to start and share two cores with a server: one journey after the other, with time to spare.
export default defineConfig({
  test: {
    include: ["journeys/**/*.test.ts"],
    environment: "node",
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
