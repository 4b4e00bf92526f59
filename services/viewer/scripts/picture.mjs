import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const USAGE = `Takes a picture of a dashboard of a running viewer.

  node services/viewer/scripts/picture.mjs [options] URL

  URL               a page of the viewer, for example "http://127.0.0.1:4300/d/tidemark-compare?from=now-3m&to=now"
  --out FILE        where the PNG goes; default docs/images/compare.png
  --theme THEME     light or dark; default light
  --width PIXELS    of the window; default 1500
  --height PIXELS   cut the page there; 0 takes all of it; default 2060
  --wait SECONDS    for the page to be drawn; default 60
  --executable PATH of Chromium; default TIDEMARK_CHROMIUM or /usr/bin/chromium`;

/** The page without what changes under the camera: alerts and the refresh, whose spinner would be caught half way. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: "string", default: "docs/images/compare.png" },
    theme: { type: "string", default: "light" },
    width: { type: "string", default: "1500" },
    height: { type: "string", default: "2060" },
    wait: { type: "string", default: "60" },
    executable: { type: "string", default: process.env.TIDEMARK_CHROMIUM ?? "/usr/bin/chromium" },
    help: { type: "boolean", default: false },
  },
});
const [address] = positionals;
const fail = (message) => {
  console.error(message);
  process.exit(1);
};
if (values.help || address === undefined) fail(USAGE);
if (!existsSync(values.executable))
  fail(`There is no browser at ${values.executable}: install chromium, or name it with --executable`);
const [width, height, wait] = [values.width, values.height, values.wait].map(Number);
if (![width, height, wait].every((number) => Number.isInteger(number) && number >= 0) || width < 300)
  fail(`--width, --height and --wait take whole numbers (width from 300)\n\n${USAGE}`);

const url = new URL(address);
url.searchParams.set("theme", values.theme);
url.searchParams.set("refresh", "");
const browser = await chromium.launch({
  executablePath: values.executable,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
try {
  const page = await browser.newPage({ viewport: { width, height: 1000 } });
  const timeout = wait * 1000;
  await page.goto(url.href, { timeout });
  await page.waitForFunction(
    () => document.querySelector("[data-loaded]") !== null && document.querySelector(".panel.loading") === null,
    undefined,
    { timeout },
  );
  const full = await page.evaluate(() => document.documentElement.scrollHeight);
  const out = resolve(values.out);
  await mkdir(dirname(out), { recursive: true });
  await page.setViewportSize({ width, height: height === 0 ? full : Math.min(full, height) });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await page.screenshot({ path: out });
  console.log(`wrote ${out}`);
} catch (error) {
  console.error(`No picture of ${url.href}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
