import { readdirSync } from "node:fs";
import type { Control } from "../shared/control.ts";
import { Sampled } from "../shared/value.ts";
import { TASKS, told, UnnamedPool } from "./unnamed-pool.ts";

// Number of the futex system call, in which an idle pool thread is parked. Source: Linux system call tables.
const FUTEX: Partial<Record<NodeJS.Architecture, string>> = { x64: "202", arm64: "98" };
const REDISCOVER_TICKS = 20;
/** Until then they are looked for in each tick. */
const EAGER_TICKS = 40;

/**
 * Threads of libuv's pool that are at work, whoever gave it to them: on Linux, by their name or, before Node 22, by what
 * they wait for. Where they are not known for certain there is no sample.
 */
export class PoolThreads {
  readonly busy = new Sampled();
  readonly #control: Control;
  readonly #futex = process.platform === "linux" ? FUTEX[process.arch] : undefined;
  readonly #unnamed: UnnamedPool | undefined;
  #threads: readonly string[] = [];
  #ticks = 0;

  /** `size` is how many threads the pool has. */
  constructor(control: Control, size: number) {
    this.#control = control;
    if (this.#futex !== undefined) this.#unnamed = new UnnamedPool(this.#futex, size);
  }

  /** To be called every 250 ms. */
  tick(): void {
    if (this.#futex === undefined) return;
    const eager = this.#threads.length === 0 && this.#ticks < EAGER_TICKS;
    if (eager || this.#ticks % REDISCOVER_TICKS === 0) this.#threads = this.#find();
    this.#ticks += 1;
    if (this.#threads.length === 0) return;
    let busy = 0;
    for (const thread of this.#threads) {
      const [call] = told(thread, "syscall").split(" ", 1);
      if (call === "") return; // a hardened kernel does not say
      if (call !== this.#futex) busy += 1;
    }
    this.busy.sample(busy, this.#control.epoch);
  }

  #find(): readonly string[] {
    try {
      const named = readdirSync(TASKS).filter((thread) => told(thread, "comm").trim() === "libuv-worker");
      return named.length > 0 ? named : (this.#unnamed?.look() ?? []);
    } catch {
      return [];
    }
  }
}
