import { BroadcastChannel } from "node:worker_threads";
import { Control } from "../shared/control.ts";
import type { Attributes } from "../shared/messages.ts";
import {
  type FromThread,
  type RegistryMessage,
  registryName,
  type ThreadIntroduction,
  type ThreadNews,
  type ToThread,
  threadChannelName,
} from "../threads/messages.ts";
import { ApplicationSeries } from "./application-series.ts";
import type { Batch } from "./batch.ts";
import { EventLoopPoints } from "./event-loop-points.ts";
import { LoopProbe } from "./loop-probe.ts";

/** Threads that are measured; further ones are counted. */
const MAX_THREADS = 16;
/** Names that threads may have had, in the life of the process; further ones are called `other`. */
const MAX_NAMES = 64;
const MAX_REMEMBERED = 256;

/** The worker threads of the application: found by themselves, probed as the main thread is, gone when they end. */
export class ApplicationThreads {
  readonly #registry = new BroadcastChannel(registryName());
  readonly #threads = new Map<number, ProbedThread>();
  readonly #unmeasured = new Set<number>();
  readonly #parents = new Map<number, number>();
  /** Threads whose end was told before their start: these come on different ways. */
  readonly #endedBefore = new Set<number>();
  readonly #names = new Set<string>();
  #seen = false;
  #errorsOfEnded = 0;

  /** Asks the threads that run already to introduce themselves. `safely` keeps an error of ours in this thread. */
  constructor(safely: (body: () => void) => void) {
    this.#registry.onmessage = (event) =>
      safely(() => this.#receive((event as unknown as { data: RegistryMessage }).data));
    this.#registry.postMessage({ ask: "roll" } satisfies RegistryMessage);
  }

  /** To be called at random moments. */
  probe(nowMs: number, latenessMs: number): void {
    for (const thread of this.#threads.values()) thread.probe(nowMs, latenessMs);
  }

  /** What a thread tells of those that it started. */
  follow(news: ThreadNews): void {
    if ("ended" in news) this.#end(news.ended);
    else if (this.#parents.size < MAX_REMEMBERED) this.#parents.set(news.child, news.parent);
  }

  /** Everything since the last call; threads that have ended are told for a last time. */
  collect(batch: Batch): void {
    for (const [id, thread] of this.#threads) {
      thread.collect(batch);
      if (!thread.ended) continue;
      this.#errorsOfEnded += thread.errors;
      thread.close();
      this.#threads.delete(id);
    }
    if (this.#seen) batch.add("tidemark.application.threads", {}, this.#threads.size + this.#unmeasured.size);
  }

  /** Errors of the agent in these threads, so far. */
  get errors(): number {
    let sum = this.#errorsOfEnded;
    for (const { errors } of this.#threads.values()) sum += errors;
    return sum;
  }

  #receive(message: RegistryMessage): void {
    if ("hello" in message) this.#welcome(message.hello);
    else if (!("ask" in message)) this.follow(message);
  }

  #welcome(introduction: ThreadIntroduction): void {
    const id = introduction.threadId;
    if (this.#threads.has(id) || this.#endedBefore.has(id)) return;
    this.#seen = true;
    for (const child of introduction.children) this.follow({ child, parent: id });
    if (this.#threads.size >= MAX_THREADS) {
      this.#unmeasured.add(id);
      return;
    }
    this.#threads.set(id, new ProbedThread(introduction, this.#nameFor(introduction.name)));
  }

  #end(id: number): void {
    this.#unmeasured.delete(id);
    this.#parents.delete(id);
    const thread = this.#threads.get(id);
    if (thread !== undefined) thread.ended = true;
    else this.#endedBefore.add(id);
    const [oldest] = this.#endedBefore;
    if (this.#endedBefore.size > MAX_REMEMBERED) this.#endedBefore.delete(oldest!);
    // A thread that is terminated takes those that it started with it, and can tell nobody.
    for (const [child, parent] of this.#parents) {
      if (parent === id) this.#end(child);
    }
  }

  /**
   * The lowest free one of `worker-x`, `worker-x#2`, ...: a pool that replaces its threads keeps its names. A name is
   * free again when its last interval has been told.
   */
  #nameFor(given: string): string {
    const taken = new Set([...this.#threads.values()].map(({ name }) => name));
    const known = this.#names.has(given) || this.#names.size < MAX_NAMES;
    const base = `worker-${known ? given : "other"}`;
    if (known) this.#names.add(given);
    if (!taken.has(base)) return base;
    for (let number = 2; ; number++) if (!taken.has(`${base}#${number}`)) return `${base}#${number}`;
  }
}

class ProbedThread {
  readonly name: string;
  ended = false;
  readonly #control: Control;
  readonly #channel: BroadcastChannel;
  readonly #probe: LoopProbe;
  readonly #points: EventLoopPoints;
  readonly #series = new ApplicationSeries();

  constructor({ threadId, control, series }: ThreadIntroduction, name: string) {
    this.name = name;
    this.#control = new Control(control);
    this.#channel = new BroadcastChannel(threadChannelName(threadId));
    this.#probe = new LoopProbe(this.#control, this.#channel);
    this.#points = new EventLoopPoints(name, this.#control, this.#probe);
    const role: Attributes = { "tidemark.thread.role": name };
    const add = (definition: FromThread["series"]) =>
      this.#series.add({ ...definition, attributes: { ...definition.attributes, ...role } });
    for (const definition of series) add(definition);
    this.#channel.onmessage = (event) => add((event as unknown as { data: FromThread }).data.series);
    this.#channel.postMessage({ welcome: true } satisfies ToThread);
  }

  probe(nowMs: number, latenessMs: number): void {
    this.#probe.probe(nowMs, latenessMs);
  }

  collect(batch: Batch): void {
    this.#probe.collect();
    const epoch = this.#control.epoch;
    this.#control.nextEpoch();
    this.#points.collect(batch, epoch);
    this.#series.read(batch, epoch);
  }

  get errors(): number {
    return this.#control.errors;
  }

  close(): void {
    this.#channel.close();
  }
}
