import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { loadDashboards, outsideSubset } from "@tidemark/dashboards";
import { describe, expect, it } from "vitest";
import { PANEL_TYPES } from "../client/panels/index.ts";
import { ConfigError, configFromEnvironment } from "../src/config.ts";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));

function start(env: Record<string, string>) {
  const child = spawn(process.execPath, [MAIN], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk;
  });
  return { child, exited: once(child, "exit") as Promise<[number | null, string | null]>, errors: () => errors };
}

describe("the process", () => {
  it("serves the bundled dashboards and leaves with 0 on SIGTERM", async () => {
    const { child, exited } = start({ TIDEMARK_VIEWER_PORT: "0", TIDEMARK_CLICKHOUSE_URL: "http://127.0.0.1:9" });
    let address = "";
    for await (const line of createInterface({ input: child.stdout })) {
      address = (JSON.parse(line) as { address?: string }).address ?? "";
      if (address !== "") break;
    }
    child.stdout.resume();
    const list = (await (await fetch(`${address}/api/dashboards`)).json()) as { uid: string }[];
    expect(list.map(({ uid }) => uid)).toEqual(expect.arrayContaining(["tidemark-overview", "tidemark-compare"]));
    child.kill("SIGTERM");
    expect((await exited)[0]).toBe(0);
  });

  it("names the port and the variable when the port is taken", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const { exited, errors } = start({ TIDEMARK_VIEWER_PORT: String(port) });
    expect((await exited)[0]).toBe(1);
    expect(errors()).toBe(`Port ${port} is taken: set TIDEMARK_VIEWER_PORT to a free one\n`);
    other.close();
  });
});

describe("settings", () => {
  it.each([
    [{ TIDEMARK_VIEWER_PORT: "99999" }, /TIDEMARK_VIEWER_PORT=99999/],
    [{ TIDEMARK_CLICKHOUSE_URL: "tcp://user:pass@db" }, /TIDEMARK_CLICKHOUSE_URL .*\*\*\*@db/],
    [{ TIDEMARK_VIEWER_HOST: "0.0.0.0" }, /TIDEMARK_TOKEN/],
  ])("refuses %j by name", (env, message) => {
    expect(() => configFromEnvironment(env)).toThrow(ConfigError);
    expect(() => configFromEnvironment(env)).toThrow(message);
  });
});

describe("the bundled dashboards", () => {
  it("use nothing that this viewer does not draw", () => {
    const panels = loadDashboards().flatMap((dashboard) => dashboard.panels);
    expect(panels.filter(({ type }) => type !== "row" && !PANEL_TYPES[type]).map(({ type }) => type)).toEqual([]);
    expect(loadDashboards().flatMap(outsideSubset)).toEqual([]);
  });
});
