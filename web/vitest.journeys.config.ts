import { defineConfig } from "vitest/config";

// Browsers are slow to start and share two cores with their servers: two files at a time, and few scenes of one file, with time to
// spare. Each file has a server and a browser of its own.
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
