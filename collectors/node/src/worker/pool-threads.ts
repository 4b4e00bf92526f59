import { readdirSync, readFileSync } from "node:fs";
import type { Control } from "../shared/control.ts";
import { Sampled } from "../shared/value.ts";

// Number of the futex system call, in which an idle pool thread is parked. Source: Linux system call tables.
const FUTEX: Partial<Record<NodeJS.Architecture, string>> = { x64: "202", arm64: "98" };
const TASKS = "/proc/self/task";
const REDISCOVER_TICKS = 20;

/**
 * Threads of libuv's pool that are at work, whoever gave it to them: Linux and Node 22 or later, where the threads
 * have a name of their own. Elsewhere there is no sample.
 */
export class PoolThreads {
  readonly busy = new Sampled();
  readonly #control: Control;
  readonly #futex = process.platform === "linux" ? FUTEX[process.arch] : undefined;
  #threads: string[] = [];
  #ticks = 0;

  constructor(control: Control) {
    this.#control = control;
  }

  /** To be called every 250 ms. */
  tick(): void {
    if (this.#futex === undefined) return;
    if (this.#ticks % REDISCOVER_TICKS === 0) this.#threads = poolThreads();
    this.#ticks += 1;
    if (this.#threads.length === 0) return;
    let busy = 0;
    try {
      for (const thread of this.#threads) {
        const [call] = readFileSync(`${TASKS}/${thread}/syscall`, "utf8").split(" ", 1);
        if (call !== this.#futex) busy += 1;
      }
    } catch {
      return; // a hardened kernel does not say
    }
    this.busy.sample(busy, this.#control.epoch);
  }
}

function poolThreads(): string[] {
  try {
    return readdirSync(TASKS).filter((thread) => {
      return readFileSync(`${TASKS}/${thread}/comm`, "utf8").trim() === "libuv-worker";
    });
  } catch {
    return [];
  }
}
