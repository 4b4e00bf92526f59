import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { ServiceCommand } from "../src/demo-services.ts";

const READY_DEADLINE_MS = 60_000;
const POLL_MS = 50;

/** A demo service as a process of the test. */
export interface RunningService {
  name: string;
  url: string;
  child: ChildProcess;
  /** SIGTERM; the exit code and how long it took. */
  stop(): Promise<{ code: number | null; ms: number }>;
}

export async function freePorts(count: number): Promise<number[]> {
  const probes = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(probes.map((probe) => once(probe, "listening")));
  const ports = probes.map((probe) => (probe.address() as AddressInfo).port);
  await Promise.all(probes.map((probe) => once(probe.close(), "close")));
  return ports;
}

/** Starts a service and waits until it answers. */
export async function startService(command: ServiceCommand): Promise<RunningService> {
  const child = spawn(command.command, command.args, {
    cwd: command.cwd,
    env: { ...process.env, ...command.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const stop = async () => {
    const startMs = performance.now();
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    }
    return { code: child.exitCode, ms: performance.now() - startMs };
  };
  const deadline = Date.now() + READY_DEADLINE_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${command.name} ended with ${child.exitCode}: ${output}`);
    try {
      const response = await fetch(`${command.url}/healthz`);
      await response.arrayBuffer();
      return { name: command.name, url: command.url, child, stop };
    } catch (error) {
      if (Date.now() > deadline) {
        await stop();
        throw new Error(`${command.name} does not answer: ${error}; ${output}`);
      }
    }
    await delay(POLL_MS);
  }
}

/** Starts services side by side; when one fails, the others are stopped before that is reported. */
export async function startServices(commands: ServiceCommand[]): Promise<RunningService[]> {
  const started = await Promise.allSettled(commands.map((command) => startService(command)));
  const running = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failed = started.find((result) => result.status === "rejected");
  if (!failed) return running;
  await Promise.all(running.map((service) => service.stop()));
  throw failed.reason;
}

/** Process numbers of a process and of everything below it. */
export function processTree(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const line of execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n")) {
    const [child, parent] = line.trim().split(/\s+/).map(Number) as [number, number];
    children.set(parent, [...(children.get(parent) ?? []), child]);
  }
  const below = (of: number): number[] => (children.get(of) ?? []).flatMap((child) => [child, ...below(child)]);
  return [pid, ...below(pid)];
}
