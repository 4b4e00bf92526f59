import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  collect,
  entryOf,
  freePorts,
  PYTHON,
  query,
  ROOT,
  startTidemark,
  stop,
  type Tidemark,
  until,
} from "./support/tidemark.ts";

const MAIN = entryOf("tidemark");
const YEAR_MS = 365 * 24 * 3600 * 1000;

let tidemark: Tidemark;
beforeAll(async () => {
  tidemark = await startTidemark(["--no-viewer", "--no-alerts"]);
});
afterAll(() => tidemark?.stop());

function gauge(name: string, timesMs: readonly number[]): object {
  const dataPoints = timesMs.map((time, index) => ({ timeUnixNano: `${time}000000`, asDouble: index }));
  return { name, unit: "1", gauge: { dataPoints } };
}

function exportOf(...metrics: object[]): string {
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "bad-input" } }] };
  return JSON.stringify({ resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] });
}

function send(body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>): Promise<Response> {
  return fetch(`${tidemark.otlp}/v1/metrics`, { method: "POST", headers, body });
}

describe("the ingest answers bad input and keeps the good part", () => {
  it.each([
    ["malformed JSON", () => send("{", { "content-type": "application/json" }), 400],
    [
      "truncated protobuf",
      () => send(Uint8Array.of(0x0a, 0x7f, 0x01), { "content-type": "application/x-protobuf" }),
      400,
    ],
    ["a wrong content type", () => send("hello", { "content-type": "text/plain" }), 415],
    [
      "a broken gzip",
      () => send(Uint8Array.of(1, 2, 3), { "content-type": "application/json", "content-encoding": "gzip" }),
      400,
    ],
    [
      "a decompression bomb",
      () =>
        send(new Uint8Array(gzipSync(Buffer.alloc(200 * 1024 * 1024))), {
          "content-type": "application/x-protobuf",
          "content-encoding": "gzip",
        }),
      413,
    ],
  ])("%s gets a Status", async (_, request, status) => {
    const response = await request();
    expect(response.status).toBe(status);
    expect(Number(response.headers.get("content-length") ?? 1)).toBeGreaterThan(0);
  });

  it("rejects points of another age with a partial success and stores the others", async () => {
    const now = Date.now();
    const body = exportOf(gauge("bad.times", [now, now + 10 * YEAR_MS, now - 20 * YEAR_MS]), {
      name: "bad.kind",
      unit: "1",
      holograms: { dataPoints: [{}] },
    });
    const response = await send(body, { "content-type": "application/json" });
    expect(response.status).toBe(200);
    const { partialSuccess } = (await response.json()) as {
      partialSuccess?: { rejectedDataPoints: string; errorMessage: string };
    };
    expect(Number(partialSuccess?.rejectedDataPoints)).toBeGreaterThanOrEqual(2);
    expect(partialSuccess?.errorMessage).toMatch(/future/i);
    const rows = await until("the good point", async () => {
      const found = await tidemark.query<{ value: number }>("SELECT value FROM samples WHERE metric = 'bad.times'");
      return found.length > 0 ? found : undefined;
    });
    expect(rows).toEqual([{ value: 0 }]);
  });
});

describe("the command line", () => {
  it("names the port that is taken and how to choose another", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const taken = (server.address() as AddressInfo).port;
    const [clickhouse, viewer, alerts] = await freePorts(3);
    const dir = mkdtempSync(join(tmpdir(), "tidemark-taken-"));
    try {
      const flags = [
        "--otlp-port",
        `${taken}`,
        "--otlp-grpc-port",
        "off",
        "--clickhouse-port",
        `${clickhouse}`,
        "--viewer-port",
        `${viewer}`,
        "--alerts-port",
        `${alerts}`,
      ];
      const { status, stderr } = await runMain(["up", "--data-dir", dir, ...flags]);
      expect(status).toBe(1);
      expect(stderr).toContain(`Port ${taken}`);
      expect(stderr).toContain("TIDEMARK_OTLP_PORT");
      expect(stderr).not.toContain("    at ");
    } finally {
      server.close();
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it("names a data directory that can't be written", async () => {
    const dir = mkdtempSync(join(tmpdir(), "tidemark-file-"));
    const file = join(dir, "a-file");
    writeFileSync(file, "in the way");
    const { status, stderr } = await runMain(["up", "--data-dir", join(file, "data")]);
    expect(status).toBe(1);
    expect(stderr).toContain(file);
    expect(stderr).toContain("--data-dir");
    rmSync(dir, { recursive: true, force: true });
  });

  it("refuses to listen for other machines without a token", async () => {
    const { status, stderr } = await runMain(["up", "--host", "0.0.0.0"], { TIDEMARK_TOKEN: "" });
    expect(status).toBe(1);
    expect(stderr).toContain("TIDEMARK_TOKEN");
  });

  it("has help for every command", () => {
    for (const args of [
      ["--help"],
      ["up", "--help"],
      ["demo", "--help"],
      ["migrate", "--help"],
      ["doctor", "--help"],
    ]) {
      const { status, stdout } = spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
      expect(status).toBe(0);
      expect(stdout).toContain("Usage: tidemark");
    }
  });
});

it("takes data while ClickHouse is unreachable from the start, and stores it when it comes", async () => {
  const [engine = 0, otlp = 0, clickhouse = 0] = await freePorts(3);
  const dir = mkdtempSync(join(tmpdir(), "tidemark-away-"));
  const password = "for-this-test";
  const url = `http://tidemark:${password}@127.0.0.1:${engine}/tidemark`;
  const flags = [
    "--data-dir",
    dir,
    "--clickhouse-url",
    url,
    "--otlp-port",
    `${otlp}`,
    "--otlp-grpc-port",
    "0",
    "--clickhouse-port",
    `${clickhouse}`,
  ];
  const up = spawn(process.execPath, [MAIN, "up", "--no-viewer", "--no-alerts", ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = collect(up);
  let server: ReturnType<typeof spawn> | undefined;
  try {
    await until("the service to start without ClickHouse", () => output().includes("Stop with Ctrl-C"));
    expect(output()).toContain("does not answer yet");
    expect(output()).not.toContain(password);
    const response = await fetch(`http://127.0.0.1:${otlp}/v1/metrics`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: exportOf(gauge("early.bird", [Date.now()])),
    });
    expect(response.status).toBe(200);
    await until(
      "the ingest to say that it can't store",
      async () => (await fetch(`http://127.0.0.1:${otlp}/readyz`)).status === 503,
    );

    server = spawn(process.execPath, [entryOf("engine")], {
      env: {
        ...process.env,
        TIDEMARK_DATA_DIR: join(dir, "server"),
        TIDEMARK_CLICKHOUSE_PORT: `${engine}`,
        TIDEMARK_ENGINE_WRITER_PASSWORD: password,
      },
      stdio: "ignore",
    });
    await until(
      "the point that was sent before",
      async () =>
        (
          await query<{ n: number }>(
            `http://127.0.0.1:${engine}`,
            "SELECT count() AS n FROM samples WHERE metric = 'early.bird'",
          )
        )[0]?.n === 1,
      60_000,
    );
  } finally {
    await stop(up);
    if (server) await stop(server);
    rmSync(dir, { recursive: true, force: true });
  }
});

describe("an agent pointed at nothing", () => {
  it.each([
    {
      runtime: "Node",
      command: process.execPath,
      args: () => ["--import", `${ROOT}collectors/node/dist/register.js`, `${ROOT}test/apps/silent-pool.mjs`],
      path: "/stat",
      quiet: true,
    },
    {
      runtime: "Django",
      command: PYTHON,
      args: (port: number) => [
        "-m",
        "gunicorn",
        "hidden_queue:application",
        "-k",
        "gthread",
        "--no-control-socket",
        "-b",
        `127.0.0.1:${port}`,
      ],
      path: "/ready",
      quiet: false,
    },
  ])("lets the $runtime service run untouched", async ({ command, args, path, quiet }) => {
    const [port = 0, nothing = 0] = await freePorts(2);
    const service = spawn(command, args(port), {
      cwd: `${ROOT}test/apps/hidden_queue`,
      env: {
        ...process.env,
        PORT: `${port}`,
        TIDEMARK_ENDPOINT: `http://127.0.0.1:${nothing}`,
        TIDEMARK_EXPORT_INTERVAL: "0.5",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = collect(service);
    const url = `http://127.0.0.1:${port}${path}`;
    try {
      await until("the service to answer", async () => (await fetch(url)).ok);
      const started = Date.now();
      while (Date.now() - started < 4_000) expect((await fetch(url)).status).toBe(200);
      expect(output()).not.toMatch(/Traceback|Error/);
      if (quiet) expect(output()).toBe("");
    } finally {
      await stop(service);
    }
  });
});

async function runMain(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ status: number | null; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const stderr = collect(child);
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const status = await new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  clearTimeout(timer);
  return { status, stderr: stderr() };
}
