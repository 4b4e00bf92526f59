import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import type { TestContext } from "vitest";

const EXECUTABLE = "/usr/bin/chromium";
const MISSING = "chromium is missing: apt-get install chromium";
const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--no-first-run",
];

/** A headless browser; undefined when there is none. Throws where CI is set: there the browser must be installed. */
export async function launchChromium(): Promise<Browser | undefined> {
  if (existsSync(EXECUTABLE)) return chromium.launch({ executablePath: EXECUTABLE, args: ARGS });
  if (process.env.CI) throw new Error(MISSING);
  return undefined;
}

/** The browser, or the test is reported as left out, with the reason. */
export function need(browser: Browser | undefined, ctx: TestContext): Browser {
  return browser ?? ctx.skip(MISSING);
}
