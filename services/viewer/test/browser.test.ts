import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FastifyInstance } from "fastify";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildViewer } from "../src/app.ts";
import { launchChromium, need } from "./support/chromium.ts";
import { SEED_FROM, SEED_TO, type SeededEngine, startSeededEngine } from "./support/engine.ts";
import { fixture } from "./support/fixtures.ts";

const ROOM = fileURLToPath(new URL("..", import.meta.url));
const PICTURES = join(ROOM, "test-results");
const FIXTURE = fixture("viewer-fixture");
const UPLOT_TYPES = new Set(["timeseries", "heatmap", "xychart", "state-timeline"]);

describe("in Chromium", () => {
  let engine: SeededEngine;
  let app: FastifyInstance;
  let address: string;
  let publicDir: string;
  let browser: Browser | undefined;

  beforeAll(async () => {
    publicDir = mkdtempSync(join(tmpdir(), "tidemark-viewer-page-"));
    execFileSync(process.execPath, ["scripts/bundle.mjs", publicDir], { cwd: ROOM });
    mkdirSync(PICTURES, { recursive: true });
    [engine, browser] = await Promise.all([startSeededEngine(), launchChromium()]);
    const dashboards = [FIXTURE, fixture("viewer-broken")];
    app = await buildViewer({
      clickhouseUrl: engine.url,
      alertsUrl: "http://127.0.0.1:9",
      dashboards,
      publicDir,
      logLevel: "silent",
    });
    address = await app.listen({ host: "127.0.0.1", port: 0 });
  });

  afterAll(async () => {
    await browser?.close();
    await app?.close();
    await engine?.stop();
    rmSync(publicDir, { recursive: true, force: true });
  });

  /** Opens a dashboard at the seeded time; `faults` collects what a person would find in the console. */
  async function open(chromium: Browser, uid: string, query = "", size = { width: 1500, height: 1900 }) {
    const page = await chromium.newPage({ viewport: size });
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" && !/status of [45]\d\d/.test(message.text())) faults.push(message.text());
    });
    await page.goto(`${address}/d/${uid}?from=${SEED_FROM}&to=${SEED_TO}${query}`);
    await loaded(page, 1);
    return { page, faults };
  }

  const loaded = (page: Page, times: number) =>
    page.waitForFunction((wanted) => Number(document.getElementById("app")?.dataset.loaded ?? 0) >= wanted, times, {
      timeout: 30_000,
    });

  /** Number of different colours in each canvas. */
  const colours = (page: Page) =>
    page.$$eval("canvas", (canvases) =>
      canvases.map((canvas) => {
        const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
        const seen = new Set<number>();
        for (let i = 0; i < data.length; i += 4)
          seen.add((data[i]! << 24) | (data[i + 1]! << 16) | (data[i + 2]! << 8) | data[i + 3]!);
        return seen.size;
      }),
    );

  it("draws every panel type without a fault, in dark and in light, and runs nothing from a text", async (ctx) => {
    const { page, faults } = await open(need(browser, ctx), "viewer-fixture", "&theme=dark");
    const shown = (FIXTURE.panels ?? []).map(({ title }) => title!);
    for (const title of shown)
      expect(await page.getByTestId(`data-testid Panel header ${title}`).count(), title).toBe(1);
    const states = await page.$$eval(".panel", (panels) =>
      panels.map((panel) => [panel.querySelector("h2")?.textContent, (panel as HTMLElement).dataset.state]),
    );
    expect(states.filter(([title]) => title !== "What is unknown?").filter(([, state]) => state !== "drawn")).toEqual(
      [],
    );
    expect(states).toContainEqual(["What is unknown?", "unsupported"]);
    const charts = (FIXTURE.panels ?? []).filter(({ type }) => UPLOT_TYPES.has(type)).length;
    expect(await page.locator(".u-over").count()).toBe(charts);
    for (const count of await colours(page)) expect(count).toBeGreaterThan(8);
    expect(await page.getByTestId("data-testid Panel status error").count()).toBe(0);
    expect(await page.locator(".alert.critical").textContent()).toContain("Threads are all busy");
    await page.screenshot({ path: join(PICTURES, "fixture-dark.png"), fullPage: true });

    const before = await page
      .locator("canvas")
      .first()
      .evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());
    await page.keyboard.press("t");
    expect(await page.locator("html").getAttribute("data-theme")).toBe("light");
    await page.waitForFunction((old) => document.querySelector("canvas")?.toDataURL() !== old, before);
    await page.screenshot({ path: join(PICTURES, "fixture-light.png"), fullPage: true });
    expect(faults).toEqual([]);
    await page.close();
  });

  it("asks again with the chosen value of a variable and keeps it in the address", async (ctx) => {
    const { page } = await open(need(browser, ctx), "viewer-fixture");
    const variable = page.getByTestId("data-testid Variable service");
    await variable.getByRole("button").first().click();
    expect(await variable.getByRole("option").allTextContents()).toEqual(["All", "books-django", "books-node"]);
    const asked = page.waitForRequest((request) => request.url().endsWith("/api/view/query"));
    await variable.getByRole("option", { name: "books-node" }).click();
    expect((await asked).postDataJSON()).toMatchObject({ vars: { service: ["books-node"] } });
    await loaded(page, 2);
    expect(new URL(page.url()).searchParams.getAll("var-service")).toEqual(["books-node"]);
    const panel = page.getByTestId("data-testid Panel header How busy over time?");
    await expect.poll(() => panel.locator(".legend-name").allTextContents()).toEqual(["books-node"]);
    await page.close();
  });

  it("shares the crosshair, names values in a tooltip and zooms by dragging", async (ctx) => {
    const { page } = await open(need(browser, ctx), "viewer-fixture");
    const over = page.getByTestId("data-testid Panel header How busy over time?").locator(".u-over");
    const box = (await over.boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.4, box.y + box.height / 2);
    const other = page.getByTestId("data-testid Panel header How long do requests wait?").locator(".u-cursor-x");
    await expect
      .poll(() => other.evaluate((line) => new DOMMatrix(getComputedStyle(line).transform).e))
      .toBeGreaterThan(50);
    const tooltip = page.locator(".tooltip");
    await expect.poll(() => tooltip.textContent()).toMatch(/slow database.*books-(django|node).*%/s);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2, { steps: 5 });
    await page.mouse.up();
    await loaded(page, 2);
    const params = new URL(page.url()).searchParams;
    expect(Number(params.get("from"))).toBeGreaterThan(SEED_FROM + 200_000);
    expect(Number(params.get("to"))).toBeLessThan(SEED_TO - 200_000);
    await page.keyboard.press("-");
    await loaded(page, 3);
    expect(Number(new URL(page.url()).searchParams.get("from"))).toBeLessThan(Number(params.get("from")));
    await page.close();
  });

  it("offers every chart as a table, opens closed rows, shows keys and one panel alone", async (ctx) => {
    const { page, faults } = await open(need(browser, ctx), "viewer-fixture");
    const chart = page.getByTestId("data-testid Panel header How busy over time?");
    await chart.hover();
    await chart.getByRole("button", { name: "as a table" }).click();
    expect(await chart.locator("th").allTextContents()).toEqual(["time", "books-django", "books-node"]);
    await page.getByTestId("data-testid Panel header Closed").click();
    const inside = page.getByTestId("data-testid Panel header What is inside a closed row?");
    await inside.locator(".u-over").waitFor();
    await page.keyboard.press("?");
    expect(await page.getByRole("dialog").textContent()).toContain("dark or light");
    await page.keyboard.press("Escape");
    await inside.hover();
    await page.keyboard.press("v");
    await expect.poll(() => page.locator(".panel").count()).toBe(1);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.locator(".panel").count()).toBeGreaterThan(5);
    expect(faults).toEqual([]);
    await page.close();
  });

  it("says in the panel what is wrong with it", async (ctx) => {
    const { page, faults } = await open(need(browser, ctx), "viewer-broken");
    const body = (title: string) => page.getByTestId(`data-testid Panel header ${title}`);
    expect(await body("Which table is missing?").textContent()).toContain("no_such_table");
    expect(await body("Which table is missing?").getByTestId("data-testid Panel status error").count()).toBe(1);
    expect(await body("What is empty?").textContent()).toContain("No data in this time range");
    expect(await body("What is out of order?").textContent()).toContain("sorted ascending");
    expect(faults).toEqual([]);
    await page.close();
  });

  it("is whole at 900 and at 500 pixels", async (ctx) => {
    for (const width of [900, 500]) {
      const { page } = await open(need(browser, ctx), "viewer-fixture", "&theme=light", { width, height: 1200 });
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(overflow, `${width} px`).toBeLessThanOrEqual(0);
      await page.screenshot({ path: join(PICTURES, `fixture-${width}.png`), fullPage: true });
      await page.close();
    }
  });

  it("says that ClickHouse is away and recovers by itself", async (ctx) => {
    const chromium = need(browser, ctx);
    const directory = mkdtempSync(join(tmpdir(), "tidemark-viewer-away-"));
    const first = await startSeededEngine(0, directory);
    await first.stop();
    const dashboards = [fixture("viewer-broken")];
    const lonely = await buildViewer({
      clickhouseUrl: first.url,
      alertsUrl: "http://127.0.0.1:9",
      dashboards,
      publicDir,
      logLevel: "silent",
    });
    const page = await chromium.newPage();
    await page.goto(`${await lonely.listen({ host: "127.0.0.1", port: 0 })}/`);
    await page.getByTestId("viewer away").waitFor();
    expect(await page.locator(".banner").textContent()).toContain(
      `ClickHouse at 127.0.0.1:${first.port} does not answer`,
    );
    expect(await page.locator(".panel").first().textContent()).toContain("does not answer");
    const second = await startSeededEngine(first.port, directory);
    await page.locator(".banner").waitFor({ state: "hidden", timeout: 30_000 });
    await page.close();
    await lonely.close();
    await second.stop();
    rmSync(directory, { recursive: true, force: true });
  });
});
