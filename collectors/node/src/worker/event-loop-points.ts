import type { Control } from "../shared/control.ts";
import { HistogramReader } from "../shared/histogram.ts";
import type { Attributes } from "../shared/messages.ts";
import { type Batch, resource } from "./batch.ts";
import type { LoopProbe } from "./loop-probe.ts";
import { LoopTimeReader } from "./loop-time.ts";

const MS_PER_S = 1000;

/** What every event loop tells of itself, the main thread's and those of the application's worker threads. */
export class EventLoopPoints {
  readonly #resource: Attributes;
  readonly #role: Attributes;
  readonly #control: Control;
  readonly #probe: LoopProbe;
  readonly #waits: HistogramReader;
  readonly #time: LoopTimeReader;

  constructor(name: string, control: Control, probe: LoopProbe) {
    this.#resource = resource("event_loop", name);
    this.#role = { "tidemark.thread.role": name };
    this.#control = control;
    this.#probe = probe;
    this.#waits = new HistogramReader(probe.waits);
    this.#time = new LoopTimeReader(control);
  }

  collect(batch: Batch, epoch: number): void {
    const loop = this.#resource;
    batch.add("tidemark.resource.capacity", loop, 1);
    batch.add("tidemark.resource.wait", loop, this.#waits.read(epoch));
    batch.add("tidemark.resource.stall_age", loop, this.#probe.oldestAgeMs / MS_PER_S);
    const time = this.#time.read();
    if (time === undefined) return;
    batch.add("tidemark.resource.busy", loop, time.utilization);
    batch.add("tidemark.resource.busy.max", loop, time.blocked ? 1 : this.#control.busyMax(epoch));
    batch.add("nodejs.eventloop.utilization", this.#role, time.utilization);
    batch.add("nodejs.eventloop.time", { "nodejs.eventloop.state": "active", ...this.#role }, time.active);
    batch.add("nodejs.eventloop.time", { "nodejs.eventloop.state": "idle", ...this.#role }, time.idle);
  }
}
