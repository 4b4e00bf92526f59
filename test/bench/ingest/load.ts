import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, request } from "undici";
import { quantile } from "../../support/tidemark.ts";
import { type Shape, stamped, templates } from "./payload.ts";

const VARIANTS = 4;
const MS_PER_S = 1000;
/** A refused request is sent again after this time, as an exporter would. */
const REFUSED_DELAY_MS = 50;
/** Requests that may be under way at once in the open loop: beyond it the sender itself would be the queue. */
const MAX_OPEN = 256;

/** What the generator is asked to send. */
export interface Task {
  /** Where to: the OTLP endpoint without its path. */
  readonly endpoint: string;
  readonly seconds: number;
  /** Requests that are sent as soon as the one before is answered, on so many connections; absent for an open loop. */
  readonly connections?: number;
  /** Requests per second at fixed times, whatever is answered. */
  readonly rate?: number;
}

/** What came of it. Times in ms, from the moment a request was meant to be sent to its answer. */
export interface Sent {
  readonly acknowledgedPoints: number;
  readonly requests: number;
  readonly refused: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
  /** CPU time of the generator itself, s. */
  readonly cpuSeconds: number;
}

/** The load generator in a process of its own, so that its CPU time is nobody else's. */
export interface Generator {
  run(task: Task): Promise<Sent>;
  stop(): void;
}

/** Starts `script` again in the role of the generator; it must call {@link generate} then. */
export function startGenerator(script: string, shape: Shape): Generator {
  const child = fork(script, ["generate", JSON.stringify(shape)], { stdio: ["ignore", 2, 2, "ipc"] });
  return {
    async run(task) {
      child.send(task);
      const [answer] = (await Promise.race([once(child, "message"), once(child, "exit")])) as [Sent | number];
      if (typeof answer !== "object" || answer === null) throw new Error("the load generator ended");
      if ("error" in answer) throw new Error(String(answer.error));
      return answer;
    },
    stop: () => child.disconnect(),
  };
}

/** The generator's own process: answers each task with what came of it. */
export function generate(shape: Shape): void {
  const sender = new Sender(shape);
  process.on("message", async (task: Task) => {
    try {
      process.send?.(await sender.run(task));
    } catch (error) {
      process.send?.({ error: (error as Error).message });
    }
  });
  process.on("disconnect", () => process.exit(0));
}

class Sender {
  private readonly shape: Shape;
  private readonly bodies: ReturnType<typeof templates>;
  private readonly free: Buffer[] = [];
  private readonly size: number;
  private readonly agent = new Agent({ connections: MAX_OPEN, pipelining: 1 });
  /** Time of the first round of points. */
  private readonly startMs = Date.now();
  private sent = 0;

  constructor(shape: Shape) {
    this.shape = shape;
    this.bodies = templates(shape, VARIANTS);
    this.size = Math.max(...this.bodies.flat().map(({ body }) => body.length));
  }

  async run(task: Task): Promise<Sent> {
    const waits: number[] = [];
    let acknowledged = 0;
    let refused = 0;
    const cpuBefore = process.cpuUsage();
    const began = performance.now();
    const until = began + task.seconds * MS_PER_S;
    const one = async (dueMs: number): Promise<void> => {
      const buffer = this.free.pop() ?? Buffer.allocUnsafeSlow(this.size);
      const number = this.sent++;
      const senders = this.bodies.length;
      const round = Math.floor(number / senders);
      const template = this.bodies[number % senders]![round % VARIANTS]!;
      const body = stamped(template, buffer, this.startMs + round * this.shape.stepMs);
      for (;;) {
        const answer = await request(`${task.endpoint}/v1/metrics`, {
          method: "POST",
          headers: { "content-type": "application/x-protobuf" },
          body,
          dispatcher: this.agent,
        });
        await answer.body.dump();
        if (answer.statusCode === 200) break;
        if (answer.statusCode !== 429 && answer.statusCode !== 503) throw new Error(`answered ${answer.statusCode}`);
        refused++;
        await delay(REFUSED_DELAY_MS);
      }
      waits.push(performance.now() - dueMs);
      acknowledged += template.times.length;
      this.free.push(buffer);
    };
    if (task.rate === undefined) {
      const connection = async (): Promise<void> => {
        while (performance.now() < until) await one(performance.now());
      };
      await Promise.all(Array.from({ length: task.connections ?? 1 }, connection));
    } else {
      await this.atRate(task.rate, began, until, one);
    }
    const seconds = (performance.now() - began) / MS_PER_S;
    const { user, system } = process.cpuUsage(cpuBefore);
    return {
      acknowledgedPoints: acknowledged,
      requests: waits.length,
      refused,
      seconds,
      p50Ms: quantile(waits, 0.5),
      p99Ms: quantile(waits, 0.99),
      longestMs: Math.max(...waits),
      cpuSeconds: (user + system) / 1e6,
    };
  }

  /** Starts requests at fixed times. One that could not start in time waits from the time it was due. */
  private async atRate(rate: number, began: number, until: number, one: (dueMs: number) => Promise<void>) {
    const open = new Set<Promise<void>>();
    for (let i = 0; ; i++) {
      const due = began + (i / rate) * MS_PER_S;
      if (due >= until) break;
      const early = due - performance.now();
      // Timers are good to a millisecond; one that fires early would make the wait look longer, never shorter.
      if (early > 0) await delay(early);
      while (open.size >= MAX_OPEN) await Promise.race(open);
      const request = one(due).finally(() => open.delete(request));
      open.add(request);
    }
    await Promise.all(open);
  }
}
