import { parentPort, workerData } from "node:worker_threads";
import { Control } from "../shared/control.ts";
import type { AgentEvent, MessageToWorker, ProfileQuestion, WorkerData } from "../shared/messages.ts";
import { ApplicationThreads } from "./application-threads.ts";
import { Collector } from "./collector.ts";
import { Exporter } from "./exporter.ts";
import { returnGarbage } from "./heap.ts";
import { LoopProbe } from "./loop-probe.ts";
import { MainStack } from "./main-stack.ts";
import { encodeEvents, encodeMetrics } from "./otlp.ts";
import { PoolProbe } from "./pool-probe.ts";
import { RandomClock, type Turn } from "./random-clock.ts";
import { SourceMaps } from "./source-maps.ts";
import { bySource } from "./source-site.ts";
import { SpanExport } from "./span-exporter.ts";
import { StallReports, type Translate } from "./stall-reports.ts";
import { MainThreadCpu } from "./thread-cpu.ts";
import { Watchdog } from "./watchdog.ts";

// The agent's own thread: it probes, aggregates and exports, so that data flows while the application is blocked.

const TICK_MS = 250;
const SPANS_MS = 2000;
/** Events go sooner than numbers: a process that is killed has told what it saw. */
const EVENTS_MS = 1000;
const MS_PER_S = 1000;
const MAX_EVENTS = 200;
/** By then this thread has loaded what it needs, the first export included. */
const SETTLED_MS = 2000;
/** Fewer than of the main thread: each wakes a thread that may have nothing else to do. */
const THREAD_PROBES_PER_SECOND = 10;

const data = workerData as WorkerData;
const control = new Control(data.control);
const { options, identity } = data;

const cpu = new MainThreadCpu(control);
const stallThresholdMs = options.stallThresholdSeconds * MS_PER_S;
const sourceMaps = new SourceMaps();
const translate: Translate = (frames) => sourceMaps.translate(frames);
const stalls = new StallReports(stallThresholdMs, translate, addEvent);
const stack = new MainStack(control, data.describe, data.mayInspect, () => {
  collector.errors += 1;
});
const askProfile =
  options.profile === "low" ? (question: ProfileQuestion) => data.probes.postMessage(question) : undefined;
const watchdog = new Watchdog(control, stallThresholdMs, { stack, cpu, reports: stalls, askProfile });
const loop = new LoopProbe(control, data.probes, watchdog);
const lanes = (["fast", "slow"] as const).map((lane) => new PoolProbe(lane, control));
const events: AgentEvent[] = [];
const threads = new ApplicationThreads((body) => safely(body)(0, 0));
const collector = new Collector(data, control, { loop, lanes, cpu, stalls, stack, sourceMaps, threads });

const exporter = new Exporter(options, {
  exported: (seconds) => collector.exportSeconds.record(seconds, control.epoch),
  dropped: (reason, records) => {
    collector.dropped.set(reason, (collector.dropped.get(reason) ?? 0) + records);
  },
  failing: (failing) => {
    control.exportFailing = failing;
  },
});

const spans = new SpanExport(options, identity, (reason, lost) => {
  collector.dropped.set(reason, (collector.dropped.get(reason) ?? 0) + lost);
});

let intervalStartMs = Date.now();

function exportAll(): void {
  const endMs = Date.now();
  const batch = collector.collect();
  exporter.send("metrics", encodeMetrics(identity, batch, Math.min(intervalStartMs, endMs), endMs), batch.points);
  intervalStartMs = endMs;
  exportEvents();
}

function exportEvents(): void {
  const told = events.splice(0);
  if (told.length > 0) exporter.send("logs", encodeEvents(identity, told), told.length);
}

function addEvent(event: AgentEvent): void {
  if (events.length < MAX_EVENTS) events.push(event);
  else collector.dropped.set("events", (collector.dropped.get("events") ?? 0) + 1);
}

/** Nothing in this thread may end it: an error is counted and the next turn goes on. */
function safely(body: Turn): Turn {
  return (nowMs, latenessMs) => {
    try {
      body(nowMs, latenessMs);
    } catch {
      collector.errors += 1;
    }
  };
}

function receive(message: MessageToWorker): void {
  if ("series" in message) collector.follow(message.series);
  else if ("heapSpaces" in message) collector.heapSpaces = message.heapSpaces;
  else if ("spans" in message) spans.add(message.spans);
  else if ("thread" in message) threads.follow(message.thread);
  else if ("profiled" in message) watchdog.profiled(message.profiled);
  else if ("compiled" in message) sourceMaps.add(message.compiled);
  else if ("event" in message) {
    addEvent(bySource(message.event, translate));
  } else {
    watchdog.finish();
    exportAll();
    void Promise.all([exporter.flush(), spans.flush()]).finally(() => control.announceFlush());
  }
}

parentPort?.on("message", (message: MessageToWorker) => safely(() => receive(message))(0, 0));
const clock = new RandomClock(options.loopProbesPerSecond, options.poolProbesPerSecond);
// First, so that the pool's threads are looked at before our own tasks are in the pool.
clock.every(
  TICK_MS,
  safely((nowMs) => {
    collector.tick();
    clock.pace = 1 - collector.keepBudget(nowMs);
  }),
);
clock.atRandom(
  options.loopProbesPerSecond,
  safely((nowMs, latenessMs) => loop.probe(nowMs, latenessMs)),
);
clock.atRandom(
  Math.min(THREAD_PROBES_PER_SECOND, options.loopProbesPerSecond),
  safely((nowMs, latenessMs) => threads.probe(nowMs, latenessMs)),
);
// Both lanes at once: their answers come together, and wake this thread once.
clock.atRandom(
  options.poolProbesPerSecond,
  safely((nowMs) => {
    for (const lane of lanes) lane.probe(nowMs);
  }),
);
setInterval(() => safely(exportEvents)(0, 0), Math.min(EVENTS_MS, options.exportIntervalSeconds * MS_PER_S));
setInterval(() => safely(exportAll)(0, 0), options.exportIntervalSeconds * MS_PER_S);
setTimeout(() => safely(returnGarbage)(0, 0), Math.max(SETTLED_MS, 1.1 * options.exportIntervalSeconds * MS_PER_S));
control.ready = true;
if (options.traces) {
  spans.prepare();
  setInterval(() => void spans.flush(), Math.min(SPANS_MS, options.exportIntervalSeconds * MS_PER_S));
}
