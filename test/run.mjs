/**
 * `npm test`: every suite, TypeScript and Python, one after the other, and a closing line `N passed, N failed`.
 * `npm test -- lint rooms` runs the named suites only; `npm test -- --list` names them.
 *
 * Measured tests are tried up to three times, as what else the machine does only adds to a figure. With `CI` set, a
 * TypeScript file that failed is run once more, with its hooks, and so is a Python test. What needed another try is named.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { failedFiles, readJunit, readVitest } from "./support/reports.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const python = process.env.TIDEMARK_PYTHON ?? join(root, ".venv", "bin", "python");
const reports = mkdtempSync(join(tmpdir(), "tidemark-test-"));
const bin = (name) => join(root, "node_modules", ".bin", name);

/** Most tests wait most of the time, for servers and intervals. */
const PYTEST_WORKERS = 2;
const django = join(root, "collectors", "django");
const lab = join(root, "services", "lab", "django");

/** A suite runs its command and answers the counts and titles that support/reports.mjs describes. */
const check = (name, command, args, cwd = root) => ({
  name,
  async run() {
    const code = await start(command, args, cwd);
    return { passed: Number(code === 0), failed: Number(code !== 0), skipped: [], later: [] };
  },
});
const vitest = (project) => ({
  name: project,
  async run() {
    const { report, code } = await startVitest(project, "");
    const failed = failedFiles(report);
    if (!process.env.CI || failed.length === 0) return readVitest([report], code);
    console.log(`\n== ${project}: once more ${failed.length} files that failed`);
    const again = await startVitest(project, "-again", ["--no-file-parallelism", ...failed]);
    return readVitest([report, again.report], again.code);
  },
});
const pytest = (name, ...args) => ({
  name,
  async run() {
    const report = join(reports, `${name.replaceAll(" ", "-")}.xml`);
    const tries = process.env.CI ? ["--reruns", "1"] : [];
    const code = await start(python, ["-m", "pytest", "-q", "-rs", `--junitxml=${report}`, ...tries, ...args], django);
    return readJunit(report, code);
  },
});

const suites = {
  lint: [
    check("biome", bin("biome"), ["check", "."]),
    check("types of the tests", bin("tsc"), ["-p", "tsconfig.test.json", "--noEmit"]),
    check("ruff: Django agent", python, ["-m", "ruff", "check", "."], django),
    check("ruff format: Django agent", python, ["-m", "ruff", "format", "--check", "."], django),
    check("mypy: Django agent", python, ["-m", "mypy"], django),
    check("ruff: lab", python, ["-m", "ruff", "check", "."], lab),
    check("ruff format: lab", python, ["-m", "ruff", "format", "--check", "."], lab),
    check("mypy: lab", python, ["-m", "mypy", "--config-file", "mypy.ini", "."], lab),
  ],
  rooms: [vitest("rooms")],
  measured: [vitest("measured"), pytest("measured pytest", "-m", "measured and not wide")],
  python: [pytest("pytest", "-m", "not measured and not wide", "-n", String(PYTEST_WORKERS))],
  product: [vitest("product")],
};

const asked = process.argv.slice(2);
if (asked.includes("--list") || asked.includes("--help")) {
  console.log(`Suites: ${Object.keys(suites).join(", ")}. npm test runs all; npm test -- NAME ... runs those.`);
  process.exit(0);
}
const unknown = asked.filter((name) => !(name in suites));
if (unknown.length > 0) {
  console.error(`No suite is called ${unknown.join(", ")}: there are ${Object.keys(suites).join(", ")}.`);
  process.exit(2);
}

const totals = { passed: 0, failed: 0 };
const leftOut = [];
const later = [];
const rows = [];
for (const name of asked.length > 0 ? asked : Object.keys(suites)) {
  for (const suite of suites[name]) {
    console.log(`\n== ${suite.name}`);
    const started = Date.now();
    const result = await suite.run();
    const { passed, failed } = result;
    totals.passed += passed;
    totals.failed += failed;
    leftOut.push(...result.skipped.map((title) => `${suite.name}: ${title}`));
    later.push(...result.later.map((title) => `${suite.name}: ${title}`));
    rows.push(
      `${failed === 0 ? "ok  " : "FAIL"} ${suite.name}: ${passed} passed, ${failed} failed in ${Math.round((Date.now() - started) / 1000)} s`,
    );
  }
}
rmSync(reports, { recursive: true, force: true });

console.log(`\n${rows.join("\n")}`);
if (later.length > 0) {
  console.log(`\nPassed only on a later try:\n${later.map((line) => `  ${line}`).join("\n")}`);
}
if (leftOut.length > 0) {
  console.log(`\nLeft out, as something they need is missing:\n${leftOut.map((line) => `  ${line}`).join("\n")}`);
  if (process.env.CI) totals.failed += leftOut.length;
}
console.log(`\n${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed > 0 ? 1 : 0;

function startVitest(project, suffix, more = []) {
  const report = join(reports, `${project}${suffix}.json`);
  const reporter = `--reporter=${join(root, "test", "support", "tries-reporter.mjs")}`;
  const args = ["run", "--project", project, "--reporter=default", reporter, ...more];
  const env = { TIDEMARK_TEST_REPORT: report };
  return start(bin("vitest"), args, root, env).then((code) => ({ report, code }));
}

/** Exit code of a command whose output is ours. */
function start(command, args, cwd, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.on("error", (error) => {
      console.error(`${command}: ${error.message}`);
      resolve(1);
    });
    child.on("close", (code) => resolve(code ?? 1));
  });
}
