import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, mkdirSync, type WriteStream } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, fetch } from "undici";
import { Guard } from "./guard.ts";

const POLL_MS = 100;
const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 10_000;
/** A process that ran this long starts its back-off anew. */
const STABLE_MS = 30_000;
/** SIGTERM to SIGKILL: everything is gone within the 5 s that stopping may take. */
const GRACE_MS = 3_500;
const TAIL_LINES = 12;

/** A process to keep running. */
export interface ProcessSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Answers 2xx once the process can work. */
  readonly readyUrl?: string;
  /** How long it may take to become ready. */
  readonly readyTimeoutMs?: number;
}

interface Entry {
  readonly spec: ProcessSpec;
  readonly log: WriteStream;
  readonly tail: string[];
  child: ChildProcess | undefined;
  startedAt: number;
  backoffMs: number;
  ready: boolean;
  once: boolean;
  stopping: boolean;
  exit: string | undefined;
}

/**
 * Starts processes, restarts those that end by themselves, and stops all in reverse order; a guard stops them where this
 * process can't. Output goes to a file each.
 */
export class Supervisor {
  readonly #entries: Entry[] = [];
  readonly #logDir: string;
  readonly #report: (line: string) => void;
  readonly #guard: Guard;
  #stopped: Promise<void> | undefined;

  constructor(logDir: string, report: (line: string) => void) {
    this.#logDir = logDir;
    this.#report = report;
    mkdirSync(logDir, { recursive: true });
    this.#guard = new Guard(Math.ceil(GRACE_MS / 1000), report);
  }

  /** Pids by name, of what runs now. */
  get pids(): Record<string, number> {
    const pids: Record<string, number> = {};
    for (const { spec, child } of this.#entries) if (child?.pid) pids[spec.name] = child.pid;
    return pids;
  }

  /**
   * Starts a process and waits until its `readyUrl` answers.
   *
   * @throws Error with the end of its output where it ends or is not ready in time.
   */
  async start(spec: ProcessSpec): Promise<void> {
    const entry = this.#add(spec);
    this.#spawn(entry);
    await this.#untilReady(entry);
  }

  /**
   * Runs a process once, to its end, and returns its standard output.
   *
   * @throws Error with the end of its output where it fails; not where stop() ended it.
   */
  async run(spec: ProcessSpec): Promise<string> {
    const entry = this.#add(spec);
    entry.once = true;
    this.#spawn(entry);
    let stdout = "";
    entry.child?.stdout?.on("data", (chunk) => {
      stdout += chunk;
    });
    await new Promise((resolve) => {
      entry.child?.once("close", resolve);
      entry.child?.once("error", resolve);
    });
    if (!entry.stopping && entry.exit !== "exit code 0") {
      throw new Error(`${spec.name} failed (${entry.exit}).\n${entry.tail.join("\n")}`);
    }
    return stdout;
  }

  /** Stops one process by name; nothing where there is none. */
  async stopOne(name: string): Promise<void> {
    const entry = this.#entries.find(({ spec }) => spec.name === name);
    if (entry) await end(entry);
  }

  /** Stops all, the last started first; those that do not end in time are killed. Safe to call twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    for (const entry of this.#entries) entry.stopping = true;
    const deadline = Date.now() + GRACE_MS;
    for (const entry of this.#entries.toReversed()) {
      // What feeds a process ends before it, so that last exports still find a listener.
      await Promise.race([end(entry, deadline), delay(GRACE_MS / 4)]);
    }
    await Promise.all(this.#entries.map((entry) => end(entry, deadline)));
    await this.#guard.close();
    for (const { log } of this.#entries) log.end();
  }

  #add(spec: ProcessSpec): Entry {
    if (this.#stopped) throw new Error(`${spec.name} is not started: everything is being stopped`);
    const log = createWriteStream(join(this.#logDir, `${spec.name}.log`), { flags: "a" });
    const entry: Entry = {
      spec,
      log,
      tail: [],
      child: undefined,
      startedAt: 0,
      backoffMs: BACKOFF_FIRST_MS,
      ready: false,
      once: false,
      stopping: false,
      exit: undefined,
    };
    this.#entries.push(entry);
    return entry;
  }

  #spawn(entry: Entry): void {
    const { command, args, env, cwd } = entry.spec;
    entry.exit = undefined;
    entry.startedAt = Date.now();
    // A group of its own: Ctrl-C reaches us alone, and we stop the parts in order.
    const child = spawn(command, [...args], { env, cwd, stdio: ["ignore", "pipe", "pipe"], detached: true });
    entry.child = child;
    if (child.pid !== undefined) this.#guard.started(child.pid);
    const keep = (chunk: Buffer): void => {
      entry.log.write(chunk);
      entry.tail.push(...chunk.toString().split("\n").filter(Boolean));
      entry.tail.splice(0, entry.tail.length - TAIL_LINES);
    };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    child.once("error", (error) => {
      entry.exit = error.message;
    });
    child.once("exit", (code, signal) => {
      entry.exit ??= signal ? `signal ${signal}` : `exit code ${code}`;
      killGroup(child, "SIGKILL");
      if (child.pid !== undefined) this.#guard.ended(child.pid);
      if (!entry.stopping && !entry.once) void this.#restart(entry);
    });
  }

  async #restart(entry: Entry): Promise<void> {
    // A process that never became ready is reported by start(), not started again.
    if (entry.spec.readyUrl !== undefined && !entry.ready) return;
    if (Date.now() - entry.startedAt > STABLE_MS) entry.backoffMs = BACKOFF_FIRST_MS;
    this.#report(
      `${entry.spec.name} ended (${entry.exit}); starting it again. Its log: ${join(this.#logDir, `${entry.spec.name}.log`)}`,
    );
    await delay(entry.backoffMs);
    if (entry.stopping) return;
    entry.backoffMs = Math.min(BACKOFF_MAX_MS, entry.backoffMs * 2);
    this.#spawn(entry);
  }

  async #untilReady(entry: Entry): Promise<void> {
    const { name, readyUrl, readyTimeoutMs = 20_000 } = entry.spec;
    if (!readyUrl) return;
    const deadline = Date.now() + readyTimeoutMs;
    while (Date.now() < deadline) {
      if (entry.stopping) throw new Error(`${name} was stopped before it was ready`);
      if (entry.exit !== undefined) {
        entry.stopping = true;
        throw new Error(`${name} did not start (${entry.exit}).\n${entry.tail.join("\n")}`);
      }
      if (await answers(readyUrl)) {
        entry.ready = true;
        return;
      }
      await delay(POLL_MS);
    }
    throw new Error(
      `${name} was not ready at ${readyUrl} within ${readyTimeoutMs / 1000} s.\n${entry.tail.join("\n")}`,
    );
  }
}

/** What a TLS server says to whom it asks for a certificate: it runs. */
const ASKED_FOR_CERTIFICATE = /^ERR_SSL_.*_ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)$/;

/**
 * True where the URL answers with a 2xx within a second. Of TLS it asks no proof who answers: the question is whether
 * the process runs, nothing is sent to it.
 */
export async function answers(url: string): Promise<boolean> {
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
  try {
    const response = await fetch(url, { dispatcher, signal: AbortSignal.timeout(1_000) });
    await response.body?.cancel();
    return response.ok;
  } catch (error) {
    const { code = "" } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    return ASKED_FOR_CERTIFICATE.test(code);
  } finally {
    void dispatcher.destroy();
  }
}

async function end(entry: Entry, deadline = Date.now() + GRACE_MS): Promise<void> {
  entry.stopping = true;
  const { child } = entry;
  if (!child || child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const closed = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const late = new AbortController();
  await Promise.race([
    closed,
    delay(Math.max(0, deadline - Date.now()), undefined, { signal: late.signal }).then(
      () => killGroup(child, "SIGKILL"),
      () => undefined,
    ),
  ]);
  late.abort();
  await closed;
}

/** Signals the process and what it started (gunicorn's workers); gone already is fine. */
function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
