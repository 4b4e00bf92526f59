import { defineConfig } from "vitest/config";

/** Long, as it costs nothing where it is met, and a busy machine may take all of it. */
const TEST_TIMEOUT_MS = 120_000;
/** Of a measured test: what else the machine does only adds to a figure. `npm test` names those that needed one. */
const LATER_TRIES = 2;
/** Most tests wait most of the time, for processes and intervals. */
const WORKERS = 2;

/**
 * Three projects, run one after the other by `npm test`:
 * rooms    - each package's own tests, in parallel;
 * measured - tests that compare a measured time with a known truth, and the demo: alone on the machine, one at a time;
 * product  - the whole product with real servers.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "rooms",
          include: ["collectors/*/test/**/*.test.ts", "services/*/test/**/*.test.ts", "dashboards/test/**/*.test.ts"],
          exclude: ["**/*.measured.test.ts", "**/node_modules/**"],
          maxWorkers: WORKERS,
          testTimeout: TEST_TIMEOUT_MS,
          hookTimeout: TEST_TIMEOUT_MS,
        },
      },
      {
        test: {
          name: "measured",
          include: ["{collectors,services}/*/test/**/*.measured.test.ts", "test/**/*.measured.test.ts"],
          exclude: ["**/node_modules/**"],
          fileParallelism: false,
          retry: LATER_TRIES,
          testTimeout: 3 * TEST_TIMEOUT_MS,
          hookTimeout: TEST_TIMEOUT_MS,
        },
      },
      {
        test: {
          name: "product",
          include: ["test/**/*.test.ts"],
          exclude: ["**/*.measured.test.ts", "**/node_modules/**"],
          maxWorkers: WORKERS,
          testTimeout: 3 * TEST_TIMEOUT_MS,
          hookTimeout: 2 * TEST_TIMEOUT_MS,
        },
      },
    ],
  },
});
