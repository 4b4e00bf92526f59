import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { collect, Fatal, freePorts, marked, PYTHON, ROOT, until } from "./support/tidemark.ts";

const STOP_WITHIN_MS = 5_000;

const NOWHERE = "http://127.0.0.1:9";

it.each([
  { when: "while it runs", after: /ready/i, processes: 7 },
  { when: "while it starts", after: /Starting/, processes: 1 },
])("stops the whole demo within 5 s of Ctrl-C $when, leaving no process and no data", async ({ after, processes }) => {
  // A folder with a space in its name, that only its owner may enter, and a proxy that leads nowhere.
  const scratch = mkdtempSync(join(tmpdir(), "tidemark stop "));
  const [otlp = 0, clickhouse = 0, viewer = 0, alerts = 0] = await freePorts(4);
  const marker = `tidemark-stop-${process.pid}-${Date.now()}`;
  const args = [join(ROOT, "services/tidemark/dist/main.js"), "demo", "--headless"];
  args.push("--otlp-port", `${otlp}`, "--otlp-grpc-port", "0", "--clickhouse-port", `${clickhouse}`);
  args.push("--viewer-port", `${viewer}`, "--alerts-port", `${alerts}`);
  const demo = spawn(process.execPath, args, {
    env: {
      ...process.env,
      TMPDIR: scratch,
      TIDEMARK_PYTHON: PYTHON,
      TIDEMARK_TEST_MARKER: marker,
      HTTP_PROXY: NOWHERE,
      http_proxy: NOWHERE,
      HTTPS_PROXY: NOWHERE,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = collect(demo);
  const ended = new Promise<number | null>((resolve) => demo.once("exit", (code) => resolve(code)));
  try {
    const reached = (): boolean => {
      if (demo.exitCode !== null) throw new Fatal(`the demo ended with ${demo.exitCode}:\n${output()}`);
      return after.test(output());
    };
    await until(() => `the demo to print ${after}\n${output()}`, reached, 120_000);
    expect(marked(marker).length).toBeGreaterThanOrEqual(processes);
    const asked = Date.now();
    demo.kill("SIGINT");
    const code = await ended;
    const took = Date.now() - asked;
    console.log(`stopped in ${took} ms with exit code ${code}`);
    expect(took).toBeLessThan(STOP_WITHIN_MS);
    expect(code, output()).toBe(0);
    expect(marked(marker)).toEqual([]);
    expect(readdirSync(scratch)).toEqual([]);
  } finally {
    if (demo.exitCode === null) demo.kill("SIGKILL");
    if (existsSync(scratch)) rmSync(scratch, { recursive: true, force: true });
  }
});
