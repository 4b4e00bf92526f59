import { type Control, DELAY_STATISTICS } from "../shared/control.ts";
import { Histogram, HistogramReader } from "../shared/histogram.ts";
import type { SeriesDefinition, WorkerData } from "../shared/messages.ts";
import { ApplicationSeries } from "./application-series.ts";
import type { ApplicationThreads } from "./application-threads.ts";
import { Batch, Differences, resource } from "./batch.ts";
import { ConnectionSlope } from "./connection-slope.ts";
import { addQuota } from "./cpu-quota.ts";
import { EventLoopPoints } from "./event-loop-points.ts";
import type { LoopProbe } from "./loop-probe.ts";
import type { MainStack } from "./main-stack.ts";
import type { PoolProbe } from "./pool-probe.ts";
import { PoolThreads } from "./pool-threads.ts";
import { openFileDescriptors, processStatus } from "./process-memory.ts";
import { SelfBudget } from "./self-budget.ts";
import type { SourceMaps } from "./source-maps.ts";
import { bySource } from "./source-site.ts";
import type { StallReports } from "./stall-reports.ts";
import type { ThreadTimes } from "./thread-cpu.ts";
import { type MainThreadCpu, ownThread, threadTimes } from "./thread-cpu.ts";

const MS_PER_S = 1000;
const US_PER_S = 1e6;

const CPU = resource("cpu", "main");
const MEMORY_TYPE = "rss_anon";

/** What measures in the worker. */
export interface Instruments {
  readonly loop: LoopProbe;
  readonly lanes: readonly PoolProbe[];
  readonly cpu: MainThreadCpu;
  readonly stalls: StallReports;
  readonly stack: MainStack;
  readonly sourceMaps: SourceMaps;
  readonly threads: ApplicationThreads;
}

/** Brings together what the probes, the operating system and the application thread know, once per export. */
export class Collector {
  readonly application = new ApplicationSeries();
  readonly exportSeconds = new Histogram();
  readonly dropped = new Map<string, number>();
  heapSpaces: readonly string[];
  errors = 0;
  readonly #control: Control;
  readonly #loop: LoopProbe;
  readonly #lanes: readonly { probe: PoolProbe; reader: HistogramReader; capacity: number }[];
  readonly #eventLoopPoints: EventLoopPoints;
  readonly #threads: ApplicationThreads;
  readonly #poolThreads: PoolThreads;
  readonly #cpu: MainThreadCpu;
  readonly #stalls: StallReports;
  readonly #sourceMaps: SourceMaps;
  readonly #holdsReader: HistogramReader;
  readonly #cpuReader: HistogramReader;
  readonly #exportReader = new HistogramReader(this.exportSeconds);
  readonly #differences = new Differences();
  readonly #slopes = new Map<string, ConnectionSlope>();
  readonly #thread = ownThread();
  readonly #budget = new SelfBudget(() => this.#ownSeconds());
  #delayEpoch = 0;

  constructor(
    data: WorkerData,
    control: Control,
    { loop, lanes, cpu, stalls, stack, sourceMaps, threads }: Instruments,
  ) {
    this.#control = control;
    this.#loop = loop;
    this.heapSpaces = data.heapSpaces;
    const poolSize = data.threadPoolSize;
    this.#lanes = lanes.map((probe) => ({
      probe,
      reader: new HistogramReader(probe.waits),
      capacity: probe.lane === "fast" ? poolSize : (poolSize + 1) >> 1, // source: libuv, src/threadpool.c
    }));
    this.#eventLoopPoints = new EventLoopPoints("main", control, loop);
    this.#threads = threads;
    this.#poolThreads = new PoolThreads(control, poolSize);
    this.#cpu = cpu;
    this.#stalls = stalls;
    this.#sourceMaps = sourceMaps;
    this.#holdsReader = new HistogramReader(stack.holds);
    this.#cpuReader = new HistogramReader(this.#cpu.waits);
    for (const definition of data.series) this.follow(definition);
    addQuota(new Batch(), this.#differences); // what the group counted before is not told
  }

  /** Exports one more series of the application's thread. */
  follow(definition: SeriesDefinition): void {
    this.application.add(bySource(definition, (frames) => this.#sourceMaps.translate(frames)));
  }

  /** To be called every 250 ms. */
  tick(): void {
    this.#poolThreads.tick();
    this.#cpu.tick();
    this.#samplePairs();
  }

  /** Share of the probes that are to be given up for the agent's own budget; to be called every 250 ms. */
  keepBudget(nowMs: number): number {
    this.#budget.keep(nowMs);
    return this.#budget.throttled;
  }

  /** Everything since the last call. Starts a new epoch. */
  collect(): Batch {
    const batch = new Batch();
    this.#loop.collect();
    const epoch = this.#control.epoch;
    this.#control.nextEpoch();
    this.#eventLoop(batch, epoch);
    this.#threadPool(batch, epoch);
    this.#processor(batch, epoch);
    this.#memory(batch);
    this.#process(batch);
    this.application.read(batch, epoch);
    this.#threads.collect(batch);
    this.#self(batch, epoch);
    return batch;
  }

  /** Pairs of connections and memory, for the slope. */
  #samplePairs(): void {
    const inbound = this.application.inboundConnections();
    if (inbound.size === 0) return;
    const anonymous = processStatus().anonymous;
    if (anonymous === undefined) return;
    for (const [kind, connections] of inbound) {
      let slope = this.#slopes.get(kind);
      if (slope === undefined) {
        slope = new ConnectionSlope();
        this.#slopes.set(kind, slope);
      }
      slope.add(connections, anonymous);
    }
  }

  #eventLoop(batch: Batch, epoch: number): void {
    this.#eventLoopPoints.collect(batch, epoch);
    for (const { attributes, blocks, lostSeconds } of this.#stalls.culprits) {
      const key = JSON.stringify(attributes);
      batch.add("tidemark.eventloop.blocks", attributes, this.#differences.of(`blocks ${key}`, blocks));
      batch.add("tidemark.eventloop.lost_time", attributes, this.#differences.of(`lost ${key}`, lostSeconds));
    }
    if (this.#control.delayEpoch !== this.#delayEpoch) {
      this.#delayEpoch = this.#control.delayEpoch;
      const delays = this.#control.delays();
      for (const [index, name] of DELAY_STATISTICS.entries()) {
        batch.add(`nodejs.eventloop.delay.${name}`, {}, delays[index]);
      }
    }
  }

  #threadPool(batch: Batch, epoch: number): void {
    for (const { probe, reader, capacity } of this.#lanes) {
      const lane = resource("thread_pool", probe.lane);
      batch.add("tidemark.resource.capacity", lane, capacity);
      batch.add("tidemark.resource.wait", lane, reader.read(epoch));
      batch.add("tidemark.resource.stall_age", lane, probe.pendingAgeMs / MS_PER_S);
      if (probe.lane !== "fast") continue; // any thread serves the slow lane: who is busy for whom is not known
      const busy = this.#poolThreads.busy.read(epoch);
      batch.add("tidemark.resource.busy", lane, busy?.mean);
      batch.add("tidemark.resource.busy.max", lane, busy?.max);
    }
  }

  #processor(batch: Batch, epoch: number): void {
    addQuota(batch, this.#differences);
    const times = this.#cpu.times;
    if (times === undefined) return;
    const running = this.#cpu.running.read(epoch);
    const waiting = this.#cpu.waiting.read(epoch);
    batch.add("tidemark.resource.capacity", CPU, 1);
    batch.add("tidemark.resource.busy", CPU, running?.mean);
    batch.add("tidemark.resource.busy.max", CPU, running?.max);
    batch.add("tidemark.resource.waiting", CPU, waiting?.mean);
    batch.add("tidemark.resource.waiting.max", CPU, waiting?.max);
    batch.add("tidemark.resource.wait", CPU, this.#cpuReader.read(epoch));
    this.#threadTime(batch, "main", times);
  }

  #threadTime(batch: Batch, role: string, times: ThreadTimes): void {
    for (const [state, seconds] of [
      ["running", times.running],
      ["runqueue", times.runQueue],
    ] as const) {
      const attributes = { "tidemark.thread.role": role, "tidemark.cpu.state": state };
      batch.add("tidemark.thread.cpu.time", attributes, this.#differences.of(`${role} ${state}`, seconds));
    }
  }

  #memory(batch: Batch): void {
    batch.add("process.memory.usage", {}, process.memoryUsage.rss());
    const { anonymous, threads } = processStatus();
    batch.add("tidemark.process.memory.anonymous", {}, anonymous);
    batch.add("process.thread.count", {}, threads);
    for (const [kind] of this.application.inboundConnections()) {
      const attributes = { "tidemark.connection.kind": kind, "tidemark.memory.type": MEMORY_TYPE };
      batch.add("tidemark.connections.memory", attributes, anonymous);
      const slope = this.#slopes.get(kind)?.slope;
      batch.add("tidemark.memory.per_connection", attributes, slope?.bytes);
      batch.add("tidemark.memory.per_connection.fit", attributes, slope?.fit);
      batch.add("tidemark.memory.per_connection.span", attributes, slope?.span);
    }
    for (const [index, { used, size }] of this.#control.heapSpaces().entries()) {
      const space = this.heapSpaces[index];
      if (space === undefined) continue;
      batch.add("v8js.memory.heap.used", { "v8js.heap.space.name": space }, used);
      batch.add("v8js.memory.heap.limit", { "v8js.heap.space.name": space }, size);
    }
  }

  #process(batch: Batch): void {
    const { user, system } = process.cpuUsage();
    batch.add("process.cpu.time", { "cpu.mode": "user" }, this.#differences.of("user", user / US_PER_S));
    batch.add("process.cpu.time", { "cpu.mode": "system" }, this.#differences.of("system", system / US_PER_S));
    batch.add("process.open_file_descriptor.count", {}, openFileDescriptors());
    batch.add("process.uptime", {}, process.uptime());
  }

  /** What the agent costs and loses. */
  #self(batch: Batch, epoch: number): void {
    const own = this.#ownSeconds();
    const part = { "tidemark.agent.part": "worker" };
    batch.add("tidemark.agent.cpu.time", part, this.#differences.of("own", own));
    if (own !== undefined) batch.add("tidemark.agent.throttled", {}, this.#budget.throttled);
    batch.add("tidemark.agent.export.duration", {}, this.#exportReader.read(epoch));
    batch.add("tidemark.agent.hold.duration", {}, this.#holdsReader.read(epoch));
    this.dropped.set("series_limit", this.#control.droppedSeries);
    for (const [reason, records] of this.dropped) {
      const attributes = { "tidemark.dropped.reason": reason };
      batch.add("tidemark.agent.dropped", attributes, this.#differences.of(`dropped ${reason}`, records));
    }
    for (const [part, errors] of [
      ["application", this.#control.errors + this.#threads.errors],
      ["worker", this.errors],
      ["source_maps", this.#sourceMaps.failures],
    ] as const) {
      const attributes = { "tidemark.agent.part": part };
      batch.add("tidemark.agent.errors", attributes, this.#differences.of(`errors ${part}`, errors));
    }
  }

  /** Processor time of this thread since its start. */
  #ownSeconds(): number | undefined {
    return this.#thread === undefined ? undefined : threadTimes(this.#thread)?.running;
  }
}
