import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Agent, request } from "undici";
import { SIGNALS } from "../chaos/batch.ts";
import { drained } from "../chaos/campaign.ts";
import { Random } from "../random.ts";
import { metric, type Pair, pairIn, rows, startPair } from "../services.ts";
import { quantile } from "../tidemark.ts";
import { type Mutant, mutant } from "./request.ts";
import { good, type Seed, seeds } from "./seeds.ts";

const ANSWER_WITHIN_MS = 20_000;
const GOOD_EVERY = 1_000;
const SAMPLE_EVERY_MS = 250;
/** Series that the mutants make up are forgotten at this number, so that memory can settle within a run. */
const SETTINGS = { TIDEMARK_MAX_SERIES: "5000", TIDEMARK_LOG_LEVEL: "info" };
const MAX_KEPT = 50;

export interface FuzzOptions {
  readonly directory: string;
  readonly bodies: number;
  readonly seed: number;
  readonly connections: number;
  /** Where bodies go that were not answered as they should be. */
  readonly failures: string;
  readonly say: (line: string) => void;
}

export interface FuzzResult {
  bodies: number;
  seconds: number;
  crashes: number;
  server_errors: number;
  hangs: number;
  /** Good requests, sent after every 1,000 mutants, that were not accepted whole. */
  good_refused: number;
  good_sent: number;
  /** Good points, spans and records that are not in ClickHouse exactly once, in the end. */
  good_not_stored: number;
  /** Rows that ClickHouse refused: a mutant must not keep others' rows out. */
  set_aside: number;
  statuses: Record<string, number>;
  /** Medians of resident memory in the second and the last third; in the first, caches and the heap get their size. */
  rss_middle_third_bytes: number;
  rss_last_third_bytes: number;
  rss_max_bytes: number;
  warnings: Record<string, number>;
}

/** Sends mutated requests to a real ingest in front of a real engine, and looks at every answer. */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const pair = await pairIn(options.directory, SETTINGS);
  try {
    await startPair(pair);
    return await new Fuzzing(options, pair).run();
  } finally {
    await pair.ingest.end("SIGTERM");
    await pair.engine.end("SIGTERM");
  }
}

/** Why the result is not what was promised; empty when it is. */
export function wrong(result: FuzzResult): string[] {
  const zero = ["crashes", "server_errors", "hangs", "good_refused", "good_not_stored", "set_aside"] as const;
  const sentences = zero.filter((key) => result[key] !== 0).map((key) => `${key} is ${result[key]}`);
  if (!isFlat(result)) sentences.push("memory grows");
  return sentences;
}

const GROWTH = 1.15;

/** The median of the last third of the run is not above that of the middle one. */
export function isFlat({ rss_middle_third_bytes: middle, rss_last_third_bytes: last }: FuzzResult): boolean {
  return last <= middle * GROWTH;
}

class Fuzzing {
  private readonly options: FuzzOptions;
  private readonly pair: Pair;
  private readonly agent: Agent;
  private readonly random: Random;
  private readonly seeds: readonly Seed[];
  private readonly statuses = new Map<number, number>();
  private readonly underWay = new Set<{ index: number; mutant: Mutant }>();
  private readonly resident: number[][] = [[], [], []];
  private highest = 0;
  private sent = 0;
  private kept = 0;
  private crashes = 0;
  private serverErrors = 0;
  private hangs = 0;
  private goodSent = 0;
  private goodRefused = 0;
  private restarting: Promise<void> | undefined;

  constructor(options: FuzzOptions, pair: Pair) {
    this.options = options;
    this.pair = pair;
    this.random = new Random(options.seed);
    this.seeds = seeds(Date.now());
    this.agent = new Agent({ connections: options.connections, headersTimeout: ANSWER_WITHIN_MS });
  }

  async run(): Promise<FuzzResult> {
    const { options, pair } = this;
    const started = performance.now();
    const sampler = setInterval(() => {
      if (!pair.ingest.isReady) return;
      const resident = pair.ingest.residentBytes();
      this.highest = Math.max(this.highest, resident);
      const third = Math.min(2, Math.floor((3 * this.sent) / options.bodies));
      this.resident[third]!.push(resident);
    }, SAMPLE_EVERY_MS);
    try {
      await Promise.all(Array.from({ length: options.connections }, () => this.worker()));
      await this.sendGood();
    } finally {
      clearInterval(sampler);
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    options.say("waiting until everything is stored ...");
    const page = await drained(pair);
    await this.agent.destroy();
    return {
      bodies: this.sent,
      seconds,
      crashes: this.crashes,
      server_errors: this.serverErrors,
      hangs: this.hangs,
      good_refused: this.goodRefused,
      good_sent: this.goodSent,
      good_not_stored: await this.notStored(),
      set_aside: metric(page, "tidemark_ingest_set_aside_points_total"),
      statuses: Object.fromEntries([...this.statuses].sort(([a], [b]) => a - b)),
      rss_middle_third_bytes: median(this.resident[1]!),
      rss_last_third_bytes: median(this.resident[2]!),
      rss_max_bytes: this.highest,
      warnings: Object.fromEntries([...pair.ingest.warnings, ...pair.engine.warnings]),
    };
  }

  private async worker(): Promise<void> {
    const { options } = this;
    while (this.sent < options.bodies) {
      const index = this.sent++;
      if (index > 0 && index % GOOD_EVERY === 0) {
        await this.sendGood();
        if (index % (5 * GOOD_EVERY) === 0) options.say(`${index} bodies: ${await this.summary()}`);
      }
      const entry = { index, mutant: mutant(this.seeds, this.random) };
      this.underWay.add(entry);
      await this.send(entry);
      this.underWay.delete(entry);
    }
  }

  private async summary(): Promise<string> {
    const counts = [...this.statuses].sort(([a], [b]) => a - b).map(([status, n]) => `${status}: ${n}`);
    const mib = (bytes: number) => Math.round(bytes / 2 ** 20);
    const page = await this.page();
    const parts = [
      `${mib(this.pair.ingest.residentBytes())} MiB resident`,
      `heap ${mib(metric(page, "nodejs_heap_size_used_bytes"))} of ${mib(metric(page, "nodejs_heap_size_total_bytes"))}`,
      `outside of it ${mib(metric(page, "nodejs_external_memory_bytes"))}`,
      `${metric(page, "tidemark_ingest_series")} series`,
    ];
    return `${counts.join(", ")}; ${parts.join(", ")}; ${this.crashes} crashes, ${this.hangs} hangs`;
  }

  /** The ingest's own metrics; empty while it does not answer. */
  private async page(): Promise<string> {
    try {
      return await (await fetch(`${this.pair.otlp}/metrics`, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) })).text();
    } catch {
      return "";
    }
  }

  private async send(entry: { index: number; mutant: Mutant }): Promise<void> {
    const { path, headers, body } = entry.mutant;
    try {
      const status = await this.answer(path, headers, body);
      this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
      if (status >= 500 || status < 200 || (status >= 300 && status < 400)) {
        this.serverErrors++;
        this.keep(entry, `status-${status}`);
      }
    } catch (error) {
      if (this.pair.ingest.isReady) {
        // A connection that the server closes while it refuses a body half-way has no answer, and is no failure: the
        // same request on a connection of its own must get one.
        const status = await this.alone(entry.mutant);
        if (status >= 200 && status < 500) this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
        else {
          this.hangs++;
          this.keep(entry, `no-answer-${(error as Error).name}`);
        }
      } else await this.restart();
    }
  }

  /** Status of a request on a connection of its own; 0 for none. */
  private async alone({ path, headers, body }: Mutant): Promise<number> {
    const agent = new Agent({ headersTimeout: ANSWER_WITHIN_MS });
    try {
      return await this.answer(path, headers, body, agent);
    } catch {
      return 0;
    } finally {
      await agent.destroy();
    }
  }

  private async answer(
    path: string,
    headers: Record<string, string>,
    body: Buffer,
    agent = this.agent,
  ): Promise<number> {
    const response = await request(`${this.pair.otlp}${path}`, {
      method: "POST",
      headers,
      body,
      dispatcher: agent,
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    await response.body.dump();
    return response.statusCode;
  }

  private restart(): Promise<void> {
    this.restarting ??= (async () => {
      this.crashes++;
      for (const entry of this.underWay) this.keep(entry, "crash");
      this.options.say(`the ingest ended:\n${this.pair.ingest.lines.slice(-5).join("\n")}`);
      await this.pair.ingest.start();
    })().finally(() => {
      this.restarting = undefined;
    });
    return this.restarting;
  }

  private async sendGood(): Promise<void> {
    const number = ++this.goodSent;
    for (const signal of SIGNALS) {
      for (const encoding of ["json", "protobuf"] as const) {
        // Each encoding has its own number: odd and even.
        const seed = good(signal, 2 * number + (encoding === "json" ? 0 : 1), Date.now());
        const body = encoding === "json" ? Buffer.from(JSON.stringify(seed.json)) : seed.protobuf;
        const type = encoding === "json" ? "application/json" : "application/x-protobuf";
        try {
          const response = await fetch(`${this.pair.otlp}/v1/${signal}`, {
            method: "POST",
            headers: { "content-type": type },
            body: new Uint8Array(body),
            signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
          });
          const text = await response.text();
          // No partial success: an empty message in either encoding.
          if (response.status === 200 && (text === "" || text === "{}")) continue;
          this.options.say(`a good ${encoding} body for ${signal} got ${response.status} ${text.slice(0, 300)}`);
        } catch (error) {
          this.options.say(`a good ${encoding} body for ${signal} got no answer: ${(error as Error).message}`);
        }
        this.goodRefused++;
      }
    }
  }

  private async notStored(): Promise<number> {
    const queries = [
      "SELECT toUInt64(value) AS id, count() AS n FROM samples WHERE metric = 'fuzz.good' GROUP BY id",
      "SELECT reinterpretAsUInt64(reverse(unhex(SpanId))) AS id, count() AS n FROM otel_traces WHERE ServiceName = 'fuzz-good' GROUP BY id",
      "SELECT toUInt64(Body) AS id, count() AS n FROM otel_logs WHERE ServiceName = 'fuzz-good' GROUP BY id",
    ];
    let missing = 0;
    for (const sql of queries) {
      const stored = new Map(
        (await rows<{ id: number; n: number }>(this.pair.clickhouseUrl, sql)).map((r) => [r.id, r.n]),
      );
      for (let id = 2; id <= 2 * this.goodSent + 1; id++) if (stored.get(id) !== 1) missing++;
    }
    return missing;
  }

  private keep({ index, mutant: { path, headers, body } }: { index: number; mutant: Mutant }, why: string): void {
    if (this.kept++ >= MAX_KEPT) return;
    const { failures, seed, say } = this.options;
    mkdirSync(failures, { recursive: true });
    const name = join(failures, `${seed}-${index}-${why}`);
    writeFileSync(`${name}.body`, body);
    writeFileSync(`${name}.json`, `${JSON.stringify({ seed, index, path, headers, bytes: body.length })}\n`);
    say(`${why}: body ${index} of seed ${seed} is kept in ${name}.body`);
  }
}

function median(values: readonly number[]): number {
  return values.length === 0 ? 0 : Math.round(quantile(values, 0.5));
}
