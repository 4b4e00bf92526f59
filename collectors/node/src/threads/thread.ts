import { basename, extname } from "node:path";
import { performance } from "node:perf_hooks";
import workerThreads, { BroadcastChannel, threadId, workerData } from "node:worker_threads";
import { observeGarbageCollection } from "../main/garbage.ts";
import { createGuard, type Guard } from "../main/guard.ts";
import { SeriesTable } from "../main/series.ts";
import { isDisabled } from "../options.ts";
import { monotonicMs } from "../shared/clock.ts";
import { Control } from "../shared/control.ts";
import { type FromThread, type RegistryMessage, registryName, type ToThread, threadChannelName } from "./messages.ts";
import { followThreads } from "./thread-news.ts";

const TICK_MS = 250;
const MAX_NAME_CHARACTERS = 64;

/**
 * The agent's part in a worker thread of the application: it answers probes, and tells utilisation and garbage
 * collections, in memory shared with the process's one agent thread. Until that has welcomed it, it does nothing.
 */
export function startInThread(): void {
  if (isDisabled(process.env) || (workerData as { tidemarkAgent?: true } | null)?.tidemarkAgent === true) return;
  const control = new Control();
  const thread = new ProbedThread(control, createGuard(control));
  thread.introduce();
}

class ProbedThread {
  readonly #control: Control;
  readonly #guard: Guard;
  readonly #series: SeriesTable;
  readonly #registry = new BroadcastChannel(registryName());
  readonly #channel = new BroadcastChannel(threadChannelName(threadId));
  readonly #children = new Set<number>();
  #stops: (() => void)[] | undefined;

  constructor(control: Control, guard: Guard) {
    this.#control = control;
    this.#guard = guard;
    this.#series = new SeriesTable(control);
    listen(
      this.#registry,
      guard((message: RegistryMessage) => {
        if (!("ask" in message)) return;
        if (message.ask === "roll") this.introduce();
        else this.#stop();
      }),
    );
    listen(
      this.#channel,
      guard((message: ToThread) => {
        if (typeof message === "number") control.answer(message, monotonicMs());
        else this.#start();
      }),
    );
    followThreads(guard, (news) => {
      if ("child" in news) this.#children.add(news.child);
      else this.#children.delete(news.ended);
      this.#registry.postMessage(news satisfies RegistryMessage);
    });
  }

  introduce(): void {
    const hello = {
      threadId,
      name: nameOfThread(),
      control: this.#control.buffer,
      series: this.#series.definitions,
      children: [...this.#children],
    };
    this.#registry.postMessage({ hello } satisfies RegistryMessage);
  }

  #start(): void {
    if (this.#stops !== undefined) return;
    this.#series.announce = (series) => this.#channel.postMessage({ series } satisfies FromThread);
    this.#stops = [
      observeGarbageCollection(this.#series, this.#control, this.#guard),
      followUtilization(this.#control, this.#guard),
    ];
  }

  #stop(): void {
    for (const stop of this.#stops ?? []) stop();
    this.#stops = undefined;
  }
}

/** Every 250 ms: utilisation of this thread's event loop. */
function followUtilization(control: Control, guard: Guard): () => void {
  let last = performance.eventLoopUtilization();
  const timer = setInterval(
    guard(() => {
      const now = performance.eventLoopUtilization();
      const active = now.active - last.active;
      const total = active + now.idle - last.idle;
      if (total > 0) control.tick(monotonicMs(), now.active, now.idle, Math.min(1, active / total));
      last = now;
    }),
    TICK_MS,
  );
  timer.unref();
  return () => clearInterval(timer);
}

/** Receives, without keeping the thread alive. */
function listen<Message>(channel: BroadcastChannel, receive: (message: Message) => void): void {
  channel.onmessage = (event) => receive((event as unknown as { data: Message }).data);
  channel.unref();
}

/** The name that the application gave it, where Node tells (22.20, 24.6), else that of its file. */
function nameOfThread(): string {
  const given = (workerThreads as { threadName?: string }).threadName;
  if (given !== undefined && given !== "" && given !== "WorkerThread") return given.slice(0, MAX_NAME_CHARACTERS);
  const file = process.argv[1] ?? "";
  if (file === "" || file.startsWith("[")) return "eval";
  return basename(file, extname(file)).slice(0, MAX_NAME_CHARACTERS);
}
