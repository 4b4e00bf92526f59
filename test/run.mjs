/**
 * `npm test`: every suite, TypeScript and Python, one after the other, and a closing line `N passed, N failed`.
 * `npm test -- lint rooms` runs the named suites only; `npm test -- --list` names them.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const python = process.env.TIDEMARK_PYTHON ?? join(root, ".venv", "bin", "python");
const reports = mkdtempSync(join(tmpdir(), "tidemark-test-"));
const bin = (name) => join(root, "node_modules", ".bin", name);

const check = (name, command, args, cwd = root) => ({
  name,
  command,
  args,
  cwd,
  count: (code) => ({ passed: Number(code === 0), failed: Number(code !== 0) }),
});
const vitest = (project) => {
  const report = join(reports, `${project}.json`);
  const args = ["run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  return { name: project, command: bin("vitest"), args, cwd: root, count: (code) => countVitest(report, code) };
};
const django = join(root, "collectors", "django");
const lab = join(root, "services", "lab", "django");

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
  measured: [vitest("measured")],
  python: [
    {
      name: "pytest",
      command: python,
      args: ["-m", "pytest", "-q", "-rs", `--junitxml=${join(reports, "pytest.xml")}`],
      cwd: django,
      count: (code) => countJunit(join(reports, "pytest.xml"), code),
    },
  ],
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
const rows = [];
for (const name of asked.length > 0 ? asked : Object.keys(suites)) {
  for (const suite of suites[name]) {
    console.log(`\n== ${suite.name}`);
    const started = Date.now();
    const code = await run(suite);
    const { passed, failed, skipped = [] } = suite.count(code);
    totals.passed += passed;
    totals.failed += failed;
    leftOut.push(...skipped.map((title) => `${suite.name}: ${title}`));
    rows.push(
      `${failed === 0 ? "ok  " : "FAIL"} ${suite.name}: ${passed} passed, ${failed} failed in ${Math.round((Date.now() - started) / 1000)} s`,
    );
  }
}
rmSync(reports, { recursive: true, force: true });

console.log(`\n${rows.join("\n")}`);
if (leftOut.length > 0) {
  console.log(`\nLeft out, as something they need is missing:\n${leftOut.map((line) => `  ${line}`).join("\n")}`);
  if (process.env.CI) totals.failed += leftOut.length;
}
console.log(`\n${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed > 0 ? 1 : 0;

function run({ command, args, cwd }) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", (error) => {
      console.error(`${command}: ${error.message}`);
      resolve(1);
    });
    child.on("close", (code) => resolve(code ?? 1));
  });
}

function countVitest(report, code) {
  const result = readReport(report);
  if (!result) return { passed: 0, failed: 1 };
  const { testResults } = JSON.parse(result);
  const tests = testResults.flatMap((file) => file.assertionResults);
  const by = (status) => tests.filter((test) => test.status === status);
  const brokenFiles = testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  const failed = by("failed").length + brokenFiles.length;
  const skipped = [...by("skipped"), ...by("pending"), ...by("todo")].map((test) => test.fullName);
  return { passed: by("passed").length, failed: failed === 0 && code !== 0 ? 1 : failed, skipped };
}

function countJunit(report, code) {
  const xml = readReport(report);
  const suite = xml?.match(/<testsuite [^>]*>/)?.[0];
  if (!suite) return { passed: 0, failed: 1 };
  const number = (name) => Number(suite.match(new RegExp(`${name}="(\\d+)"`))?.[1] ?? 0);
  const failed = number("failures") + number("errors");
  const cases = [...xml.matchAll(/<testcase [^>]*name="([^"]*)"[^>]*>\s*<skipped/g)].map((match) => match[1]);
  return {
    passed: number("tests") - failed - number("skipped"),
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: cases,
  };
}

function readReport(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
