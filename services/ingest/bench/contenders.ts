import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Decoded, Decoder } from "../src/rows/decoder.ts";
import type { Payload, Shape } from "./payloads.ts";

/** Who decodes the same requests in turns: ours, and the OpenTelemetry Collector's decoder. */
export interface Contender {
  /** Decodes one shape again and again for `ms`; returns units per second of CPU. */
  rate(shape: Shape, ms: number): Promise<number>;
}

export class Ours implements Contender {
  private readonly decoder: Decoder;
  private readonly payloads: ReadonlyMap<Shape, Payload>;

  constructor(payloads: ReadonlyMap<Shape, Payload>, at: number) {
    this.payloads = payloads;
    this.decoder = new Decoder({ retentionDays: 15, maxSeries: 1e6, now: () => at });
  }

  async rate(shape: Shape, ms: number): Promise<number> {
    const before = process.cpuUsage();
    const until = performance.now() + ms;
    let done = 0;
    while (performance.now() < until) done += this.decode(shape).points;
    const { user, system } = process.cpuUsage(before);
    return done / ((user + system) / 1e6);
  }

  /** Decodes one request. Throws when it does not give a row for every unit. */
  decode(shape: Shape): Decoded {
    const { signal, body, units } = this.payloads.get(shape)!;
    const decoded = this.decoder.decode(signal, "protobuf", body);
    if (decoded.points !== units) throw new Error(`${shape}: ${decoded.points} of ${units} were taken`);
    return decoded;
  }
}

export class GoPdata implements Contender {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(binary: string, directory: string) {
    this.child = spawn(binary, [directory], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { PATH: process.env.PATH ?? "", GOMAXPROCS: "1" },
    });
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  async rate(shape: Shape, ms: number): Promise<number> {
    this.child.stdin!.write(`${shape} ${ms}\n`);
    const line = await this.lines.next();
    if (line.done) throw new Error("the Go decoder ended");
    const [units, seconds] = line.value.split(" ").map(Number);
    return units! / seconds!;
  }

  end(): void {
    this.child.stdin!.end();
  }
}

export function buildGo(directory: string): { binary: string; version: string } | undefined {
  const found = spawnSync("go", ["version"], { encoding: "utf8" });
  if (found.status !== 0) return undefined;
  const binary = join(directory, "go-pdata");
  const source = fileURLToPath(new URL("../bench/go-pdata", import.meta.url));
  execFileSync("go", ["build", "-o", binary, "."], { cwd: source, stdio: ["ignore", "inherit", "inherit"] });
  const list = execFileSync("go", ["list", "-m", "go.opentelemetry.io/collector/pdata"], { cwd: source });
  const [, , goVersion] = found.stdout.split(" ");
  return { binary, version: `${goVersion}, ${list.toString().trim().split("/").at(-1)}` };
}
