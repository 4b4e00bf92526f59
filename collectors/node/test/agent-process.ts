import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const REGISTER = new URL("../dist/register.js", import.meta.url).href;
/** What runs a program under the agent. */
export const PRELOAD = ["--import", REGISTER];
/** The same for loaders of CommonJS. */
export const REQUIRED = ["--require", fileURLToPath(new URL("../register.cjs", import.meta.url))];
const POLL_MS = 25;
const DEADLINE_MS = 60_000;

/**
 * Versions and programs of the Node.js releases to test under: the one that runs the tests, and those that
 * TIDEMARK_TEST_NODES names by their paths, with commas between.
 */
export const TEST_NODES: readonly (readonly [version: string, program: string])[] = [
  [process.version, process.execPath],
  ...(process.env.TIDEMARK_TEST_NODES ?? "")
    .split(",")
    .filter((program) => program !== "")
    .map((program) => [execFileSync(program, ["--version"]).toString().trim(), program] as const),
];

/** Tiers of the agent to test, each under every release. */
export const TEST_TIERS = TEST_NODES.flatMap(([version, program]) => [
  { tiers: `metrics alone on Node ${version}`, traces: "0", program },
  { tiers: `traces on Node ${version}`, traces: "1", program },
]);

export interface AgentProcess {
  readonly child: ChildProcess;
  /** What it printed so far. */
  output(): { stdout: string; stderr: string };
  /** Resolves when the process has ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stop(): Promise<void>;
}

/** Runs a script of `test/apps`, or a piece of code, under the agent. */
export function runWithAgent(
  script: string | { code: string },
  endpoint: string,
  environment: Record<string, string | undefined> = {},
  preload = PRELOAD,
  program: string = process.execPath,
): AgentProcess {
  const directory = typeof script === "string" ? undefined : mkdtempSync(join(tmpdir(), "node-program-"));
  const target =
    directory === undefined
      ? fileURLToPath(new URL(`apps/${script}`, import.meta.url))
      : join(directory, "program.mjs");
  if (typeof script !== "string") writeFileSync(target, script.code);
  const child = spawn(program, [...preload, target], {
    env: { ...cleanEnvironment(), TIDEMARK_ENDPOINT: endpoint, TIDEMARK_EXPORT_INTERVAL: "0.5", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    cwd: fileURLToPath(new URL(".", import.meta.url)),
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk;
  });
  const ended = once(child, "close").then(([code, signal]) => {
    if (directory !== undefined) rmSync(directory, { recursive: true });
    return { code, signal };
  });
  return {
    child,
    output: () => ({ stdout, stderr }),
    ended,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

export const REGISTER_URL = REGISTER;

/** Waits until `probe` gives something, and returns it. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = DEADLINE_MS,
) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found as T;
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((passed) => setTimeout(passed, POLL_MS));
  }
}

/** Address that the application printed. */
export async function addressOf(process: AgentProcess): Promise<string> {
  const { port } = await until("the application listens", () => {
    const line = process.output().stdout.split("\n")[0];
    return process.output().stdout.includes("\n") ? (JSON.parse(line ?? "") as { port: number }) : undefined;
  });
  return `http://127.0.0.1:${port}`;
}

function cleanEnvironment(): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|VITEST|OTEL_|TIDEMARK_)/.test(name));
  return Object.fromEntries(kept);
}
