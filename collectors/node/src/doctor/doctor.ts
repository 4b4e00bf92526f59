import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Check, compare } from "./checks.ts";
import { reachEndpoint } from "./endpoint.ts";
import { listenAsPostgres } from "./fake-postgres.ts";
import { Inbox } from "./inbox.ts";
import type { Report } from "./report.ts";

const TIME_LIMIT_MS = 60_000;
/** The agent's settings in the throw-away program: short intervals, and probes enough for a good mean. */
const SETTINGS = { TIDEMARK_EXPORT_INTERVAL: "0.5", TIDEMARK_LOOP_PROBES: "400", TIDEMARK_POOL_PROBES: "20" };

export type { Check } from "./checks.ts";

/** What the doctor does. */
export interface DoctorOptions {
  /** Whether to send an empty export to the endpoint that the environment names. Default true. */
  readonly endpoint?: boolean;
  /** URL of a PostgreSQL to run queries on; by default one that only this program is given, which answers nothing. */
  readonly postgres?: string | undefined;
  /** Variables that configure the agent. Default those of this process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Where the application lives: its `pg` is used. Default the working directory. */
  readonly directory?: string;
}

/**
 * Runs a throw-away program with known waits under the agent, and compares what the agent tells with what the program
 * saw. Takes about 15 s; its figures need a machine that is not busy with other work.
 *
 * @throws {Error} the program did not start, or did not end within a minute.
 */
export async function runDoctor(options: DoctorOptions = {}): Promise<Check[]> {
  const { endpoint = true, environment = process.env, directory = process.cwd() } = options;
  const inbox = new Inbox();
  const database = options.postgres === undefined ? await listenAsPostgres() : undefined;
  try {
    const url = await inbox.listen();
    const settings = { ...unconfigured(environment), ...SETTINGS, TIDEMARK_ENDPOINT: url };
    const given = { driver: driverOf(directory), database: options.postgres ?? database?.url };
    const checks = compare(inbox, await runProgram(settings, inbox, given));
    return endpoint ? [...checks, await reachEndpoint(environment)] : checks;
  } finally {
    database?.close();
    await inbox.close();
  }
}

/** Path of the application's `pg`, or else of one that the agent finds itself. */
function driverOf(directory: string): string | undefined {
  for (const from of [join(directory, "package.json"), fileURLToPath(import.meta.url)]) {
    try {
      return createRequire(from).resolve("pg");
    } catch {
      // Not there: the next one, or none.
    }
  }
  return undefined;
}

function unconfigured(environment: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  const hidden = /^(TIDEMARK_|OTEL_|NODE_OPTIONS$|UV_THREADPOOL_SIZE$|NODE_APP_INSTANCE$)/;
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !hidden.test(name)));
}

async function runProgram(env: Record<string, string | undefined>, inbox: Inbox, given: object): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-doctor-"));
  const program = join(directory, "program.mjs");
  const source = readFileSync(new URL("program.js", import.meta.url), "utf8");
  writeFileSync(program, source.replace(/^\/\/# sourceMappingURL=.*$/m, "")); // the map stays where it is
  const register = new URL("../register.js", import.meta.url).href;
  const child = fork(program, [], {
    execArgv: ["--import", register],
    env,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let printed = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    printed += chunk;
  });
  const ended = once(child, "close");
  const limit = setTimeout(() => child.kill("SIGKILL"), TIME_LIMIT_MS);
  let report: Report | undefined;
  child.on("message", (message: Report | "ready") => {
    if (message !== "ready") report = message;
    // The first export shows that the agent is up; what is injected before it would not be seen.
    else inbox.once(() => child.send(given));
  });
  try {
    const [code, signal] = await ended;
    if (report === undefined) throw new Error(`the program ended with ${code ?? signal}:\n${printed}`);
    return report;
  } finally {
    clearTimeout(limit);
    rmSync(directory, { recursive: true });
  }
}
