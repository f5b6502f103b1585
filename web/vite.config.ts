import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig, loadEnv, type Plugin } from "vite";
import { contentPolicy, parseApiUrl } from "./src/lib/apiOrigin.ts";

/** Smaller files gain nothing from compression. */
const COMPRESS_FROM_BYTES = 1_000;

/** Writes `.br` and `.gz` beside each file at build time, so that the server does not compress replies. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    writeBundle({ dir = "dist" }) {
      for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (!entry.isFile() || !/\.(html|js|css|svg|json)$/.test(entry.name)) continue;
        const bytes = readFileSync(path);
        if (bytes.length < COMPRESS_FROM_BYTES) continue;
        writeFileSync(
          `${path}.br`,
          brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
        );
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

/** Puts the content policy into pages that are built for an API elsewhere. The server sends its own pages with its own. */
function policyForApi(setting: string | undefined): Plugin {
  const apiOrigin = parseApiUrl(setting);
  return {
    name: "policy-for-api",
    apply: "build",
    transformIndexHtml: () =>
      apiOrigin === null
        ? []
        : [
            {
              tag: "meta",
              attrs: { "http-equiv": "Content-Security-Policy", content: contentPolicy(apiOrigin) },
              injectTo: "head-prepend",
            },
          ],
  };
}

export default defineConfig(({ mode }) => ({
  plugins: [
    react(),
    tailwind(),
    policyForApi(loadEnv(mode, import.meta.dirname, "VITE_").VITE_API_URL),
    compressed(),
  ],
  build: {
    target: "es2022",
    // No data: URLs: the content security policy forbids them.
    assetsInlineLimit: 0,
    // The polyfill is for browsers older than the build target.
    modulePreload: { polyfill: false },
  },
  // `npm run dev` beside `doorbuster serve --demo`.
  server: {
    proxy: {
      "/api": "http://127.0.0.1:8080",
      "/health": "http://127.0.0.1:8080",
      "/socket.io": { target: "http://127.0.0.1:8080", ws: true },
    },
  },
}));
