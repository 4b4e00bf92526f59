import { monotonicMs } from "../shared/clock.ts";
import type { Frame, RequestInFlight } from "../shared/description.ts";
import type { Sample } from "./main-stack.ts";
import type { CpuShares } from "./thread-cpu.ts";

/** An answer that took longer than this waited for a native call to return: its stack is of what came after. */
const PROMPT_MS = 50;

/** One block of the event loop. Times on the monotonic clock, in milliseconds. */
export class Stall {
  /** Number of the probe that it was noticed by. */
  readonly sequence: number;
  /** When that probe was sent, or when the process went on after it had been stopped. */
  readonly sinceMs: number;
  /** When the loop was last known to be free. */
  readonly aliveMs: number;
  readonly samples: Sample[] = [];
  /** Questions asked for samples. */
  asked = 0;
  toldEarly = false;
  /** While it lasted. */
  shares: CpuShares | undefined;
  /** For how long the whole process stood still. */
  frozenMs = 0;
  endMs: number | undefined;
  /** What ran most in it, by the processor profile: for what no interrupt can see. */
  profiled: readonly Frame[] | undefined;
  askedProfile = false;
  #beginMs: number | undefined;
  #beginUnixMs: number | undefined;

  constructor(sequence: number, sinceMs: number, aliveMs: number) {
    this.sequence = sequence;
    this.sinceMs = sinceMs;
    this.aliveMs = aliveMs;
  }

  /** The whole process stood still. */
  static ofFreeze(beginMs: number, endMs: number): Stall {
    const stall = new Stall(0, beginMs, beginMs);
    stall.frozenMs = endMs - beginMs;
    stall.endMs = endMs;
    return stall;
  }

  /** The samples that show it: those that were answered at once, before it had ended. */
  get timely(): readonly Sample[] {
    return this.samples.filter(
      ({ description: { atMs }, askedMs }) =>
        atMs < (this.endMs ?? Number.POSITIVE_INFINITY) && atMs - askedMs < PROMPT_MS,
    );
  }

  /**
   * When it began: no earlier than the loop was free, or had been active without a pause; no later than the probe it
   * held up was sent. The first answer stands, so that all that is told of it agrees.
   */
  get beginMs(): number {
    this.#beginMs ??= this.#begin();
    return this.#beginMs;
  }

  /** The same by the calendar, since 1970. */
  get beginUnixMs(): number {
    this.#beginUnixMs ??= Date.now() - (monotonicMs() - this.beginMs);
    return this.#beginUnixMs;
  }

  #begin(): number {
    const description = this.samples[0]?.description;
    const tick = description?.sinceTick;
    if (description === undefined || tick === undefined || tick.tickMs > this.sinceMs) {
      return (this.aliveMs + this.sinceMs) / 2;
    }
    return Math.min(this.sinceMs, Math.max(this.aliveMs, description.atMs - tick.activeMs));
  }

  /** What it cost the requests that were being served beside it; undefined when that could not be asked. */
  victims(untilMs: number): Victims | undefined {
    const inFlight = this.samples[0]?.description.inFlight;
    if (inFlight === undefined) return undefined;
    const { startsMs, routeIndexes, routes } = inFlight;
    const lostMs = (startMs: number) => Math.max(0, untilMs - Math.max(this.beginMs, startMs));
    const byRoute = routes.map((route) => ({ route, requests: 0, lostMs: 0 }));
    for (const [index, startMs] of startsMs.entries()) {
      const ms = lostMs(startMs);
      if (ms === 0) continue;
      const entry = byRoute[routeIndexes[index]!]!;
      entry.requests += 1;
      entry.lostMs += ms;
    }
    // Past the five hundred that are told one by one, the others are taken to be like them.
    const scale = startsMs.length === 0 ? 1 : inFlight.count / startsMs.length;
    return {
      count: Math.round(sum(byRoute.map(({ requests }) => requests)) * scale),
      lostMs: sum(byRoute.map((entry) => entry.lostMs)) * scale,
      routes: byRoute.filter(hasLost).sort((a, b) => b.lostMs - a.lostMs),
      oldest: inFlight.oldest.map((request) => ({ ...request, lostMs: lostMs(request.startMs) })).filter(hasLost),
    };
  }
}

export interface Victims {
  readonly count: number;
  /** Of all of them together. */
  readonly lostMs: number;
  /** Those that lost most first; null: without a route, or not yet known. */
  readonly routes: readonly { readonly route: string | null; readonly requests: number; readonly lostMs: number }[];
  readonly oldest: readonly (RequestInFlight & { readonly lostMs: number })[];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function hasLost({ lostMs }: { readonly lostMs: number }): boolean {
  return lostMs > 0;
}

/** Whose fault it is: what most samples are in, else the innermost call that all of them share. */
export function culpritOf(samples: readonly (readonly Frame[])[]): Frame | undefined {
  const stacks = samples.map((frames) => frames.filter(isApplication).reverse()).filter(({ length }) => length > 0);
  const innermost = stacks.map((stack) => stack.at(-1)!);
  for (const frame of innermost) {
    const same = innermost.filter((other) => isSameFunction(frame, other));
    if (same.length * 2 > innermost.length) return frame;
  }
  const [first = []] = stacks;
  const shared = first.findIndex((frame, depth) => !stacks.every((stack) => isSameFunction(frame, stack[depth])));
  return first[shared - 1] ?? innermost[0] ?? samples[0]?.find(isLibrary);
}

function isSameFunction(frame: Frame, other: Frame | undefined): boolean {
  return other !== undefined && frame.file === other.file && frame.function === other.function;
}

function isApplication(frame: Frame): boolean {
  return isLibrary(frame) && !/[\\/]node_modules[\\/]/.test(frame.file);
}

function isLibrary({ file }: Frame): boolean {
  return file !== "" && !file.startsWith("node:");
}

export function place({ file, line, column }: Frame): string {
  return `${file}:${line}:${column}`;
}
