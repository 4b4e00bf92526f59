import { writeFileSync } from "node:fs";

/**
 * A vitest reporter that writes the file TIDEMARK_TEST_REPORT: for each test file its path, whether the file itself
 * failed (a hook, an import), and for each test its title, its state and how often it was tried again.
 */
export default class TriesReporter {
  onTestRunEnd(modules) {
    const files = modules.map((module) => ({
      file: module.moduleId,
      failed: !module.ok(),
      tests: [...module.children.allTests()].map((test) => ({
        title: test.fullName,
        state: test.result().state,
        retries: test.diagnostic()?.retryCount ?? 0,
      })),
    }));
    writeFileSync(process.env.TIDEMARK_TEST_REPORT, JSON.stringify(files));
  }
}
