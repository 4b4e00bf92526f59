import inspector from "node:inspector";
import { fileURLToPath } from "node:url";
import { monotonicMs } from "../shared/clock.ts";
import type { Frame } from "../shared/description.ts";
import type { ProfileQuestion } from "../shared/messages.ts";
import { mayInspect } from "../shared/permission.ts";
import { isInspected } from "./describe.ts";

const SAMPLE_EVERY_US = 10_000;
const US_PER_MS = 1000;
/**
 * Samples are thrown away and begun anew this often, which bounds them; not more often, as V8 lists all functions when a
 * profile begins.
 */
const WINDOW_MS = 300_000;

/** V8's processor profile, as far as it is used here. Lines and columns from 0. */
export interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
      readonly columnNumber: number;
    };
    readonly children?: readonly number[] | undefined;
  }[];
  readonly samples?: readonly number[] | undefined;
  /** Microseconds from sample to sample, the first from the profile's start. */
  readonly timeDeltas?: readonly number[] | undefined;
}

/**
 * A processor profile of this thread at a hundred samples a second, to name native calls, which no interrupt can see.
 * By a session of the thread's own: one from another thread would print a line when the process ends.
 */
export class LowProfile {
  #session: inspector.Session | undefined;
  #startedMs = 0;
  #timer: NodeJS.Timeout | undefined;

  start(): () => void {
    this.#begin();
    this.#timer = setInterval(() => this.#renew(), WINDOW_MS);
    this.#timer.unref();
    return () => {
      clearInterval(this.#timer);
      this.#end();
    };
  }

  /** The stack that most samples of a time have, innermost first; empty when it has none. Begins a new profile. */
  take({ fromMs, toMs }: ProfileQuestion): readonly Frame[] {
    let profile: Profile | undefined;
    this.#session?.post("Profiler.stop", (_error, answer) => {
      profile = answer?.profile;
    });
    const startedMs = this.#startedMs;
    this.#renew();
    return profile === undefined ? [] : mostFrequentStack(profile, fromMs - startedMs, toMs - startedMs);
  }

  #renew(): void {
    this.#end();
    this.#begin();
  }

  #begin(): void {
    if (isInspected() || !mayInspect()) return;
    const session = new inspector.Session();
    session.connect();
    this.#session = session;
    session.post("Profiler.enable");
    session.post("Profiler.setSamplingInterval", { interval: SAMPLE_EVERY_US });
    this.#startedMs = monotonicMs();
    session.post("Profiler.start");
  }

  #end(): void {
    this.#session?.disconnect();
    this.#session = undefined;
  }
}

/** Times in milliseconds since the profile's start. Samples in which nothing ran do not count. */
export function mostFrequentStack({ nodes, samples, timeDeltas }: Profile, fromMs: number, toMs: number): Frame[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const votes = new Map<number, number>();
  let atUs = 0;
  for (const [index, id] of (samples ?? []).entries()) {
    atUs += timeDeltas?.[index] ?? 0;
    const atMs = atUs / US_PER_MS;
    if (atMs < fromMs || atMs > toMs || !parents.has(parents.get(id) ?? 0)) continue;
    votes.set(id, (votes.get(id) ?? 0) + 1);
  }
  const [winner] = [...votes].sort(([, a], [, b]) => b - a);
  const frames: Frame[] = [];
  for (let id = winner?.[0]; id !== undefined && parents.has(id); id = parents.get(id)) {
    const { functionName, url, lineNumber, columnNumber } = byId.get(id)!.callFrame;
    const file = url.startsWith("file://") ? fileURLToPath(url) : url;
    frames.push({ function: functionName || "<anonymous>", file, line: lineNumber + 1, column: columnNumber + 1 });
  }
  return frames;
}
