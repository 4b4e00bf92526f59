import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

/** Where Linux tells of the process's threads. */
export const TASKS = "/proc/self/task";
/** Both words of a condition that glibc waits at are within this many bits of an address. Source: glibc, pthread_cond_t. */
const CONDITION_BITS = 3n;
const MAX_CONDITIONS = 64;
const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+\s*(.*)$/;

/**
 * Finds the threads of libuv's pool where they have no name of their own, before Node 22. When they have nothing to do,
 * all of them wait for one condition, which is static data of the program itself (libuv, src/threadpool.c); those of
 * V8's workers are on the heap. What is told is exactly as many threads as the pool has, seen there sooner or later, of
 * which one has run meanwhile: the thread that waits for the inspector's signal also waits at such a place, but never runs.
 */
export class UnnamedPool {
  readonly #futex: string;
  readonly #size: number;
  readonly #conditions = new Map<bigint, Map<string, string>>();
  #statics: readonly (readonly [from: bigint, to: bigint])[] | undefined;

  /** `futex` is the number of the system call, `size` how many threads the pool has. */
  constructor(futex: string, size: number) {
    this.#futex = futex;
    this.#size = size;
  }

  /** The pool's threads; none while they are not known for certain. */
  look(): readonly string[] {
    this.#statics ??= staticData();
    for (const thread of readdirSync(TASKS)) this.#see(thread);
    const pools = [...this.#conditions.values()].filter(
      (threads) => threads.size === this.#size && [...threads].some(([thread, runs]) => runsOf(thread) !== runs),
    );
    return pools.length === 1 ? [...pools[0]!.keys()] : [];
  }

  #see(thread: string): void {
    const [call, word] = told(thread, "syscall").split(" ", 2);
    if (call !== this.#futex || word === undefined) return;
    const address = BigInt(word);
    if (!this.#statics?.some(([from, to]) => from <= address && address < to)) return;
    const condition = address >> CONDITION_BITS;
    const threads = this.#conditions.get(condition) ?? new Map<string, string>();
    if (threads.has(thread) || this.#conditions.size >= MAX_CONDITIONS) return;
    this.#conditions.set(condition, threads.set(thread, runsOf(thread)));
  }
}

/** What the kernel tells of a thread; empty where it does not, or the thread has just ended. */
export function told(thread: string, file: "comm" | "status" | "syscall"): string {
  try {
    return readFileSync(`${TASKS}/${thread}/${file}`, "utf8");
  } catch {
    return "";
  }
}

/** How often a thread has waited for something: it runs in between. */
function runsOf(thread: string): string {
  return /^voluntary_ctxt_switches:\s*(\d+)$/m.exec(told(thread, "status"))?.[1] ?? "";
}

/** Where the program's own data is, or that of a libuv of its own: what is mapped of the file, and right behind it. */
function staticData(): (readonly [bigint, bigint])[] {
  const program = readlinkSync("/proc/self/exe");
  const found: (readonly [bigint, bigint])[] = [];
  let owner = "";
  let end = "";
  for (const line of readFileSync("/proc/self/maps", "utf8").split("\n")) {
    const [, from, to, path] = MAPPING.exec(line) ?? [];
    if (from === undefined || to === undefined) continue;
    if (path !== "" || from !== end) owner = path ?? "";
    end = to;
    if (owner === program || basename(owner).startsWith("libuv.so"))
      found.push([BigInt(`0x${from}`), BigInt(`0x${to}`)]);
  }
  return found;
}
