import { monotonicMs } from "../shared/clock.ts";
import type { Frame } from "../shared/description.ts";
import type { AgentEvent, Attributes } from "../shared/messages.ts";
import { culpritOf, type Stall } from "./stall.ts";
import { culpritAttributes, type Finding, stallEvent } from "./stall-event.ts";

const MS_PER_S = 1000;
const EVENT_EVERY_MS = 60_000;
/** A stall this many times as long as the last one told of its culprit is news. */
const WORSE = 2;
const MAX_EVENTS_PER_HOUR = 30;
const HOUR_MS = 3_600_000;
/** Culprits counted apart; further ones count as `_other`. */
const MAX_CULPRITS = 100;
const OTHER = "_other";
const OTHER_CULPRIT: Attributes = { "code.function.name": OTHER };
const BUSY_SHARE = 0.5;
const NOBODY = {
  late: false,
  frames: [],
  culprit: undefined,
  route: undefined,
  traceId: undefined,
  spanId: undefined,
};

/** What blocks the loop, and what that has cost so far. */
export interface Culprit {
  readonly attributes: Attributes;
  blocks: number;
  lostSeconds: number;
  toldMs: number;
  toldDurationMs: number;
}

/** Gives the frames as their authors wrote them. */
export type Translate = (frames: readonly Frame[]) => readonly Frame[];

/**
 * Counts stalls by their culprit, and tells of them: each culprit once a minute, or sooner when it is more than twice
 * as long as the last that was told; thirty an hour in all.
 */
export class StallReports {
  readonly #thresholdMs: number;
  readonly #translate: Translate;
  readonly #emit: (event: AgentEvent) => void;
  readonly #culprits = new Map<string, Culprit>();
  readonly #told = new WeakSet<Stall>();
  #toldMs: number[] = [];

  constructor(thresholdMs: number, translate: Translate, emit: (event: AgentEvent) => void) {
    this.#thresholdMs = thresholdMs;
    this.#translate = translate;
    this.#emit = emit;
  }

  /** Of all stalls that have ended. No two have the same attributes. */
  get culprits(): readonly Culprit[] {
    return [...this.#culprits.values()].filter(({ blocks }) => blocks > 0);
  }

  /** Tells of a stall that goes on. */
  early(stall: Stall): void {
    const finding = this.#look(stall, monotonicMs());
    if (this.#mayTell(this.#culprit(finding), finding)) this.#tell(stall, finding);
  }

  /** Counts a stall that has ended, and tells of it if its culprit was not told of lately, or the stall was. */
  final(stall: Stall): void {
    const finding = this.#look(stall, stall.endMs ?? monotonicMs());
    const culprit = this.#culprit(finding);
    culprit.blocks += 1;
    culprit.lostSeconds += (finding.victims?.lostMs ?? 0) / MS_PER_S;
    if (this.#told.has(stall) || this.#mayTell(culprit, finding)) this.#tell(stall, finding);
  }

  #look(stall: Stall, untilMs: number): Finding {
    const durationMs = untilMs - stall.beginMs;
    const { timely, samples, profiled } = stall;
    const shown = timely.length > 0 ? timely : samples.slice(0, 1);
    const byProfile = timely.length === 0 && profiled !== undefined && profiled.length > 0;
    const stacks = byProfile ? [profiled] : shown.map(({ description }) => description.frames);
    const reason = this.#reason(stall, durationMs, stacks[0]?.[0]);
    const found = {
      beginUnixMs: stall.beginUnixMs,
      durationMs,
      ended: stall.endMs !== undefined,
      reason,
      victims: stall.victims(untilMs),
    };
    // Nobody's fault: what the thread would have run had it had a core says nothing.
    if (reason === "starved") return { ...found, ...NOBODY };
    const frames = stacks.map(this.#translate);
    // An answer from after the end belongs to what came next.
    const within = shown.find(({ description }) => description.atMs < (stall.endMs ?? Number.POSITIVE_INFINITY));
    const { route, traceId, spanId } = within?.description ?? NOBODY;
    const late = timely.length === 0 && !byProfile && samples.length > 0;
    return { ...found, late, frames: frames[0] ?? [], culprit: culpritOf(frames), route, traceId, spanId };
  }

  /** Whether the thread ran, waited for a core, or slept. */
  #reason({ shares, frozenMs }: Stall, durationMs: number, innermost: Frame | undefined): string {
    if (frozenMs > durationMs / 2) return "starved";
    if (shares !== undefined) {
      // With a core of its own it would not have been a stall.
      if (shares.waiting > BUSY_SHARE && shares.running * durationMs < this.#thresholdMs) return "starved";
      if (shares.running + shares.waiting > BUSY_SHARE) return "cpu";
    }
    if (innermost?.function.endsWith("Atomics.wait")) return "lock";
    return innermost?.file.startsWith("node:") ? "io" : "unknown";
  }

  #culprit(finding: Finding): Culprit {
    const attributes = culpritAttributes(finding);
    const key = JSON.stringify(attributes);
    return this.#culprits.get(key) ?? this.#add(key, attributes);
  }

  #add(key: string, attributes: Attributes): Culprit {
    if (this.#culprits.size > MAX_CULPRITS) return this.#culprits.get(OTHER)!;
    const other = this.#culprits.size === MAX_CULPRITS;
    const culprit = {
      attributes: other ? OTHER_CULPRIT : attributes,
      blocks: 0,
      lostSeconds: 0,
      toldMs: Number.NEGATIVE_INFINITY,
      toldDurationMs: 0,
    };
    this.#culprits.set(other ? OTHER : key, culprit);
    return culprit;
  }

  /** Whether one more event is within the limits; takes it if so. */
  #mayTell(culprit: Culprit, { durationMs }: Finding): boolean {
    const nowMs = monotonicMs();
    this.#toldMs = this.#toldMs.filter((at) => nowMs - at < HOUR_MS);
    const known = nowMs - culprit.toldMs < EVENT_EVERY_MS && durationMs <= WORSE * culprit.toldDurationMs;
    if (known || this.#toldMs.length >= MAX_EVENTS_PER_HOUR) return false;
    culprit.toldMs = nowMs;
    culprit.toldDurationMs = durationMs;
    this.#toldMs.push(nowMs);
    return true;
  }

  #tell(stall: Stall, finding: Finding): void {
    this.#told.add(stall);
    this.#emit(stallEvent(finding));
  }
}
