import type { Socket } from "node:net";
import { BroadcastChannel, MessageChannel, Worker } from "node:worker_threads";
import { identify } from "./identity.ts";
import { CompiledMaps } from "./main/compiled-maps.ts";
import { Connections } from "./main/connections.ts";
import { followDatabases } from "./main/databases/databases.ts";
import { followPrisma } from "./main/databases/prisma.ts";
import { installDescription, isInspected } from "./main/describe.ts";
import { observeGarbageCollection } from "./main/garbage.ts";
import { createGuard } from "./main/guard.ts";
import { HttpRequests } from "./main/http-requests.ts";
import { followFastify, followKoa } from "./main/http-route.ts";
import { heapSpaceNames, startLoopTicker } from "./main/loop-ticker.ts";
import { LowProfile } from "./main/low-profile.ts";
import { ModuleLoads } from "./main/module-loads.ts";
import { RepeatedStatements } from "./main/repeated-statements.ts";
import { RequestContexts } from "./main/request-context.ts";
import { SeriesTable } from "./main/series.ts";
import { surroundingsOf } from "./main/surroundings.ts";
import type { AgentOptions, Environment } from "./options.ts";
import { followCluster } from "./processes/cluster.ts";
import { flushOnSignals } from "./processes/flush-signals.ts";
import { monotonicMs } from "./shared/clock.ts";
import { Control } from "./shared/control.ts";
import type { MessageToWorker, ProfileQuestion, WorkerData } from "./shared/messages.ts";
import { mayInspect } from "./shared/permission.ts";
import { type RegistryMessage, registryName } from "./threads/messages.ts";
import { followThreads } from "./threads/thread-news.ts";
import { type ActiveSpan, startTracing } from "./traces/tracing.ts";
import { WebSockets } from "./websockets/websockets.ts";

const EXIT_FLUSH_MS = 500;
/** Node.js itself waits at the end for a session that is still connected, and prints that it does. */
const EXIT_CAPTURE_MS = 2000;
const WORKER_HEAP_MB = 64;
/** V8 lets this part grow to 16 MB and more before it looks for garbage; what the worker makes is short-lived. */
const WORKER_YOUNG_HEAP_MB = 1;
const DEFAULT_POOL_THREADS = 4;
const MAX_POOL_THREADS = 1024;
const MAX_RESTARTS = 3;
const RESTART_WINDOW_MS = 3_600_000;

/** A running agent. */
export interface Agent {
  /** Takes every hook out of the process and ends the agent's thread, after a last export of at most 0.5 s. */
  stop(): void;
}

/** Starts the agent in this thread's process; one per process. */
export function startAgent(options: AgentOptions, environment: Environment): Agent {
  const parts = makeParts(options, environment);
  const stops = followApplication(parts);
  if (options.profile === "low") followProfile(parts, stops);
  parts.thread.start();
  if (options.traces) followTraces(parts, options, stops);
  return endWithProcess(parts.thread, stops, options);
}

type Parts = ReturnType<typeof makeParts>;

/** What observes the application, and the thread that it is told to. Nothing is hooked yet but the function that describes the moment. */
function makeParts(options: AgentOptions, environment: Environment) {
  const control = new Control();
  const guard = createGuard(control);
  const series = new SeriesTable(control);
  const contexts = new RequestContexts();
  const repeated = new RepeatedStatements(
    series,
    (event) => thread.post({ event }),
    (frames) => compiledMaps.told(frames),
  );
  const requests = new HttpRequests(series, control, contexts, (context, route) => repeated.check(context, route));
  const tracing: { activeSpan: ActiveSpan } = { activeSpan: () => undefined };
  const compiledMaps = new CompiledMaps(control, (compiled) => thread.post({ compiled }));
  const surroundings = surroundingsOf(control, requests, contexts, () => tracing.activeSpan());
  const description = installDescription(surroundings, (frames) => compiledMaps.told(frames));
  const identity = identify(options, environment);
  const thread: AgentThread = new AgentThread(control, {
    options,
    identity,
    threadPoolSize: threadPoolSize(environment),
    heapSpaces: heapSpaceNames(),
    series: series.definitions,
    describe: description.name,
    mayInspect: mayInspect(),
  });
  series.announce = (definition) => thread.post({ series: definition });
  return {
    control,
    guard,
    series,
    contexts,
    requests,
    tracing,
    description,
    compiledMaps,
    identity,
    thread,
    loads: new ModuleLoads(control),
  };
}

/** Hooks everything of the metrics tier into the process. What is returned takes it out again. */
function followApplication(parts: Parts): (() => void)[] {
  const { control, guard, series, contexts, requests, description, compiledMaps, thread, loads } = parts;
  followKoa(loads);
  const pools = followDatabases(loads, series, control, contexts);
  const webSockets = new WebSockets(series, guard);
  const connections = new Connections(
    series,
    (socket: Socket) => requests.connectionClosed(socket),
    (socket: Socket) => webSockets.upgrading(socket),
  );
  const eachTick = () => {
    pools.tick();
    webSockets.tick();
  };
  const eachSecond = () => {
    connections.recheck();
    control.inspected = isInspected();
  };
  return [
    description.remove,
    requests.start(guard),
    connections.start(guard),
    followFastify(guard),
    observeGarbageCollection(series, control, guard),
    compiledMaps.start(loads),
    followPrisma(contexts, control),
    loads.start(),
    followCluster(series, guard),
    followThreads(guard, (news) => thread.post({ thread: news })),
    startLoopTicker(control, guard, eachTick, eachSecond),
  ];
}

function followProfile({ guard, thread, compiledMaps }: Parts, stops: (() => void)[]): void {
  const profile = new LowProfile();
  guard(() => stops.push(profile.start()))(undefined);
  thread.profileAsked = guard((question: ProfileQuestion) =>
    thread.post({ profiled: compiledMaps.told(profile.take(question)) }),
  );
}

function followTraces(parts: Parts, options: AgentOptions, stops: (() => void)[]): void {
  const { control, guard, contexts, identity, loads, thread } = parts;
  try {
    const { stop, activeSpan } = startTracing(options, identity, contexts, loads, guard, (spans) =>
      thread.post({ spans }),
    );
    stops.push(stop);
    parts.tracing.activeSpan = activeSpan;
    contexts.enabled = true; // the SDK follows the context as well: the tax on promises is paid
  } catch {
    control.countError(); // metrics go on
  }
}

/** Has the last export made when the process ends, in each way in which that can be seen. */
function endWithProcess(thread: AgentThread, stops: (() => void)[], { flushSignals }: AgentOptions): Agent {
  const flush = () => thread.flush();
  process.on("exit", flush);
  stops.push(flushOnSignals(flushSignals, flush));
  return {
    stop() {
      process.removeListener("exit", flush);
      for (const stop of stops) stop();
      thread.flush();
      thread.stop();
    },
  };
}

/** The worker thread: started, restarted after a crash at most three times an hour, and never in anybody's way. */
class AgentThread {
  readonly #control: Control;
  readonly #data: Omit<WorkerData, "tidemarkAgent" | "control" | "probes">;
  #worker: Worker | undefined;
  #restarts: number[] = [];

  profileAsked: (question: ProfileQuestion) => void = () => {};

  constructor(control: Control, data: Omit<WorkerData, "tidemarkAgent" | "control" | "probes">) {
    this.#control = control;
    this.#data = data;
  }

  start(): void {
    const control = this.#control;
    const { port1, port2 } = new MessageChannel();
    port1.on("message", (message: number | ProfileQuestion) => {
      if (typeof message === "number") control.answer(message, monotonicMs());
      else this.profileAsked(message);
    });
    port1.unref();
    const { NODE_OPTIONS: _, ...env } = process.env;
    const workerData: WorkerData = {
      tidemarkAgent: true,
      control: control.buffer,
      probes: port2,
      ...this.#data,
      series: [...this.#data.series],
    };
    const worker = new Worker(new URL("./worker/main.js", import.meta.url), {
      workerData,
      transferList: [port2],
      env,
      argv: [],
      execArgv: [],
      stdin: false,
      stdout: true,
      stderr: true,
      name: "tidemark",
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB, maxYoungGenerationSizeMb: WORKER_YOUNG_HEAP_MB },
    });
    this.#worker = worker;
    // Without a listener, an error of ours would become the application's uncaught exception.
    worker.on("error", () => this.#control.countError());
    worker.on("exit", () => this.#ended(worker));
    worker.unref();
  }

  post(message: MessageToWorker): void {
    this.#worker?.postMessage(message);
  }

  /** A last export, while the process waits at most half a second; not at all when the last export failed. */
  flush(): void {
    this.#control.ending = true; // first: a capture begins before it, and is seen here, or not at all
    const { ready, exportFailing, capturing } = this.#control;
    if (this.#worker === undefined || !ready || (exportFailing && !capturing)) return;
    this.post({ flush: true });
    this.#control.awaitFlush(EXIT_FLUSH_MS);
    this.#control.awaitCaptured(EXIT_CAPTURE_MS);
  }

  stop(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    const threads = new BroadcastChannel(registryName());
    threads.postMessage({ ask: "stop" } satisfies RegistryMessage);
    threads.close();
    void worker?.terminate();
  }

  #ended(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#control.ready = false;
    this.#control.capturing = false;
    const now = monotonicMs();
    this.#restarts = this.#restarts.filter((at) => now - at < RESTART_WINDOW_MS);
    if (this.#restarts.length >= MAX_RESTARTS) return;
    this.#restarts.push(now);
    this.start();
  }
}

/** Threads of libuv's pool. Source: libuv, src/threadpool.c. */
function threadPoolSize(environment: Environment): number {
  const text = environment.UV_THREADPOOL_SIZE;
  if (text === undefined) return DEFAULT_POOL_THREADS;
  const size = Number.parseInt(text, 10);
  return Number.isNaN(size) || size < 1 ? 1 : Math.min(size, MAX_POOL_THREADS);
}
