import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { DurableLog } from "../log/durable-log.ts";
import { DIGEST_BYTES } from "../log/frame.ts";
import type { Telemetry } from "../plugins/telemetry.ts";
import type { Decoder } from "../rows/decoder.ts";
import { ownPoints, type Reached, type ReportTimes } from "./own-metrics.ts";

export const OWN_SERVICE = "tidemark-ingest";
const INTERVAL_MS = 10_000;
/** Own reports stop when the log is filled to this share: the rest of it is for senders. */
const LOG_SHARE = 0.5;
const LOOP_RESOLUTION_MS = 20;
const CUMULATIVE = 2;
const DELTA = 1;
const US_PER_S = 1e6;
const NS_PER_S = 1e9;
const MS_PER_S = 1e3;

export interface OwnReportsOptions {
  readonly log: DurableLog;
  readonly decoder: Decoder;
  readonly telemetry: Telemetry;
  /** `service.instance.id`: see `instanceId`. */
  readonly instance: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Between two reports; default: 10 s. */
  readonly intervalMs?: number | undefined;
}

/**
 * Every 10 s the ingest sends its own metrics the way of everyone's: OTLP, the decoder, the log, ClickHouse.
 *
 * They are the first to go: while the log is half full, a report is on its way, or the log takes nothing, a report is left
 * out and counted, and the next one covers its time. No sender was promised these points, so they are in no count of
 * acknowledged or inserted points.
 */
export class OwnReports {
  private readonly options: OwnReportsOptions;
  private readonly loopDelay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private reached: Reached = new Map();
  private cpu: NodeJS.CpuUsage = { user: 0, system: 0 };
  private reportedAt: number;
  private readonly startedAt: number;

  constructor(options: OwnReportsOptions) {
    this.options = options;
    this.startedAt = options.now();
    this.reportedAt = this.startedAt;
  }

  start(): void {
    this.loopDelay.enable();
    this.timer = setInterval(() => void this.report(), this.options.intervalMs ?? INTERVAL_MS);
  }

  /** Ends after the report under way. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.loopDelay.disable();
    await this.running;
  }

  /** Sends one report, or counts why not. Never throws. */
  async report(): Promise<void> {
    const { log, telemetry } = this.options;
    if (this.running !== undefined) return this.drop("slow");
    if (log.queuedBytes > LOG_SHARE * log.quotaBytes) return this.drop("log_half_full");
    this.running = this.send()
      .catch((error: Error & { code?: string }) => {
        telemetry.ownReportsDropped.inc({ reason: error.code ?? error.name });
      })
      .finally(() => {
        this.running = undefined;
      });
    return this.running;
  }

  private drop(reason: string): void {
    this.options.telemetry.ownReportsDropped.inc({ reason });
  }

  private async send(): Promise<void> {
    const { log, decoder, telemetry, instance, now } = this.options;
    const at = now();
    const times: ReportTimes = { startTimeUnixNano: nanos(this.reportedAt), timeUnixNano: nanos(at) };
    const reached: Reached = new Map();
    const cpu = process.cpuUsage();
    const metrics = [
      ...ownPoints(await telemetry.registry.getMetricsAsJSON(), times, this.reached, reached),
      ...this.processPoints(times, cpu),
    ];
    const body = Buffer.from(
      JSON.stringify({
        resourceMetrics: [
          {
            resource: {
              attributes: [
                text("service.name", OWN_SERVICE),
                text("service.instance.id", instance),
                text("host.name", hostname()),
              ],
            },
            scopeMetrics: [{ scope: { name: OWN_SERVICE }, metrics }],
          },
        ],
      }),
    );
    const decoded = decoder.decode("metrics", "json", body);
    const digest = createHash("sha1").update(body).digest().subarray(0, DIGEST_BYTES);
    try {
      await log.append(
        digest,
        decoded.blocks.map((block) => ({ ...block, points: 0 })),
      );
    } catch (error) {
      decoded.undo();
      throw error;
    }
    for (const each of decoded.overflow) telemetry.overflowed(each);
    this.reached = reached;
    this.cpu = cpu;
    this.reportedAt = at;
    this.loopDelay.reset();
  }

  private processPoints(times: ReportTimes, cpu: NodeJS.CpuUsage): object[] {
    const modes = (["user", "system"] as const).map((mode) => ({
      ...times,
      attributes: [text("cpu.mode", mode)],
      asDouble: (cpu[mode] - this.cpu[mode]) / US_PER_S,
    }));
    const gauge = (name: string, asDouble: number) => ({
      name,
      unit: "s",
      gauge: { dataPoints: [{ ...times, asDouble }] },
    });
    // The timer's own period is in every delay; without a tick since the last report there is nothing to tell.
    const net = (nanoseconds: number) => Math.max(0, nanoseconds / NS_PER_S - LOOP_RESOLUTION_MS / MS_PER_S);
    const loop =
      this.loopDelay.count === 0
        ? []
        : [
            gauge("nodejs.eventloop.delay.p99", net(this.loopDelay.percentile(99))),
            gauge("nodejs.eventloop.delay.max", net(this.loopDelay.max)),
          ];
    return [
      {
        name: "process.cpu.time",
        unit: "s",
        sum: { aggregationTemporality: DELTA, isMonotonic: true, dataPoints: modes },
      },
      {
        name: "process.memory.usage",
        unit: "By",
        sum: {
          aggregationTemporality: CUMULATIVE,
          isMonotonic: false,
          dataPoints: [
            { ...times, startTimeUnixNano: nanos(this.startedAt), asInt: String(process.memoryUsage.rss()) },
          ],
        },
      },
      ...loop,
    ];
  }
}

function text(key: string, stringValue: string): object {
  return { key, value: { stringValue } };
}

function nanos(ms: number): string {
  return `${Math.round(ms)}000000`;
}
