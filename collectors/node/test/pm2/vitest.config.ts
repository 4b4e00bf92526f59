import { defineConfig } from "vitest/config";

const TIMEOUT_MS = 120_000;

/** The test on the real pm2, apart from `npm test`: `npm run test:pm2 -w @tidemark/node`. */
export default defineConfig({
  test: { include: ["**/*.check.ts"], testTimeout: TIMEOUT_MS, hookTimeout: TIMEOUT_MS },
});
