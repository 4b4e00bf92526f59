import { readFileSync } from "node:fs";

/**
 * Reads the reports of the test runners. Each answers `{ passed, failed, skipped, later }`: two counts, the titles of
 * what was left out, and the titles of what passed only on a later try.
 */

/** Test files of a vitest report that did not pass. */
export function failedFiles(report) {
  return (readFiles(report) ?? []).filter((file) => file.failed).map((file) => file.file);
}

/** Reports of tries-reporter.mjs, each run's after the one before; what a later one has of a file counts. */
export function readVitest(reports, code) {
  const runs = reports.map(readFiles);
  if (runs.includes(undefined)) return { passed: 0, failed: 1, skipped: [], later: [] };
  const files = [...new Map(runs.flat().map((file) => [file.file, file])).values()];
  const before = new Map(runs.slice(0, -1).flatMap(failedTests));
  const tests = files.flatMap(({ file, tests }) => tests.map((test) => ({ ...test, file })));
  const of = (state) => tests.filter((test) => test.state === state);
  const later = of("passed").filter((test) => test.retries > 0 || before.has(`${test.file} ${test.title}`));
  const broken = files.filter((file) => file.failed && !file.tests.some((test) => test.state === "failed"));
  const failed = of("failed").length + broken.length;
  return {
    passed: of("passed").length,
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: [...of("skipped"), ...of("pending")].map((test) => test.title),
    later: later.map((test) => test.title),
  };
}

/** A failed file without a failed test failed in a hook: all its tests count. */
function failedTests(files) {
  return files
    .filter((file) => file.failed)
    .flatMap(({ file, tests }) => {
      const failed = tests.filter((test) => test.state === "failed");
      return (failed.length > 0 ? failed : tests).map((test) => [`${file} ${test.title}`, true]);
    });
}

/** A report of pytest. It has a test once for each try. */
export function readJunit(report, code) {
  const xml = read(report);
  const suite = xml?.match(/<testsuite [^>]*>/)?.[0];
  if (!suite) return { passed: 0, failed: 1, skipped: [], later: [] };
  const number = (name) => Number(suite.match(new RegExp(`${name}="(\\d+)"`))?.[1] ?? 0);
  const failed = number("failures") + number("errors");
  const cases = [
    ...xml.matchAll(/<testcase classname="([^"]*)" name="([^"]*)"[^>]*>\s*(?:<(skipped|failure|error))?/g),
  ].map(([, file, name, outcome]) => ({ title: `${file} ${name}`, outcome }));
  const titles = (wanted) => [...new Set(wanted.map((test) => test.title))];
  const bad = new Set(titles(cases.filter((test) => test.outcome)));
  const again = cases.filter((test, index) => cases.findIndex(({ title }) => title === test.title) < index);
  return {
    passed: number("tests") - failed - number("skipped"),
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: titles(cases.filter((test) => test.outcome === "skipped")),
    later: titles(again.filter((test) => !bad.has(test.title))),
  };
}

function readFiles(report) {
  const text = read(report);
  return text === undefined ? undefined : JSON.parse(text);
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
