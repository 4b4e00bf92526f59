import { monotonicMs } from "../shared/clock.ts";
import type { Control } from "../shared/control.ts";
import type { Frame } from "../shared/description.ts";
import type { ProfileQuestion } from "../shared/messages.ts";
import type { ProbeObserver, Sent } from "./loop-probe.ts";
import type { MainStack } from "./main-stack.ts";
import { Stall } from "./stall.ts";
import type { StallReports } from "./stall-reports.ts";
import type { CpuMark, MainThreadCpu } from "./thread-cpu.ts";

/** Modules are being loaded: not what an operator means by a stall. */
const GRACE_MS = 3000;
/** Blocks that begin sooner after the last one are left alone. */
const STALL_EVERY_MS = 1000;
/** A stall is told while it lasts when it has lasted this long. */
const EARLY_MS = 1000;
/** The answer of a thread that is free again comes within this time, or not at all. */
const ANSWER_MS = 1000;
/** The profile is asked no sooner after the last time: it ends with each question, and to begin anew takes time. */
const PROFILE_EVERY_MS = 10_000;
/** Ages, in thresholds, at which a sample is taken. */
const SAMPLES_AT = [1, 2, 4];

/** What the watchdog works with. */
export interface WatchdogParts {
  readonly stack: MainStack;
  readonly cpu: MainThreadCpu;
  readonly reports: StallReports;
  /** Asks the profile what ran; the answer comes by {@link Watchdog.profiled}. Absent without a profile. */
  readonly askProfile: ((question: ProfileQuestion) => void) | undefined;
}

/**
 * Follows the event loop's probes and names what blocks the loop while it does so: when the oldest probe is older
 * than the threshold, the application's thread is asked what it is doing. What the stall cost is told when it ends.
 */
export class Watchdog implements ProbeObserver {
  readonly #control: Control;
  readonly #thresholdMs: number;
  readonly #parts: WatchdogParts;
  readonly #startedMs = monotonicMs();
  #stall: Stall | undefined;
  #openedMs = Number.NEGATIVE_INFINITY;
  #profileAskedMs = Number.NEGATIVE_INFINITY;
  /** When the loop last answered. */
  #aliveMs = monotonicMs();
  /** When the process went on after it had stood still. */
  #thawedMs = 0;
  #mark: { readonly sequence: number; readonly cpu: CpuMark | undefined } | undefined;
  #active = performance.eventLoopUtilization().active;

  constructor(control: Control, thresholdMs: number, parts: WatchdogParts) {
    this.#control = control;
    this.#thresholdMs = thresholdMs;
    this.#parts = parts;
  }

  answered(sequence: number, answeredMs: number): void {
    this.#aliveMs = answeredMs;
    if (this.#stall?.sequence === sequence) this.#stall.endMs = answeredMs;
  }

  turn(nowMs: number, oldest: Sent | undefined, latenessMs: number): void {
    this.#noticeFreeze(nowMs, latenessMs);
    if (this.#stall !== undefined) this.#follow(this.#stall, nowMs);
    else if (oldest === undefined) this.#mark = undefined;
    else this.#look(nowMs, oldest);
  }

  /** The profile's answer to the last question. */
  profiled(frames: readonly Frame[]): void {
    if (this.#stall?.askedProfile) this.#stall.profiled = frames;
  }

  /** Ends what is under way: the process is about to end. */
  finish(): void {
    this.#parts.stack.cancel();
    if (this.#stall !== undefined) this.#end(this.#stall);
  }

  #look(nowMs: number, { sequence, sentMs }: Sent): void {
    if (this.#mark?.sequence !== sequence) this.#mark = { sequence, cpu: this.#parts.cpu.mark() };
    const sinceMs = Math.max(sentMs, this.#thawedMs);
    if (!this.#watches || nowMs - sinceMs < this.#thresholdMs) return;
    if (nowMs - this.#startedMs < GRACE_MS || nowMs - this.#openedMs < STALL_EVERY_MS) return;
    this.#openedMs = nowMs;
    this.#stall = new Stall(sequence, sinceMs, Math.max(this.#aliveMs, this.#thawedMs));
    this.#stall.shares = this.#parts.cpu.sharesSince(this.#parts.cpu.lastTick);
    this.#follow(this.#stall, nowMs);
  }

  /** Not while somebody is debugging: what stands still then, stands still on purpose. */
  get #watches(): boolean {
    return this.#thresholdMs > 0 && !this.#control.inspected;
  }

  #follow(stall: Stall, nowMs: number): void {
    const { stack, cpu, reports } = this.#parts;
    if (stall.endMs !== undefined) {
      if (nowMs - stall.endMs < ANSWER_MS && (stack.asking || this.#awaitsProfile(stall, stall.endMs))) return;
      this.#end(stall);
      return;
    }
    stall.shares = cpu.sharesSince(this.#mark?.cpu) ?? stall.shares;
    const ageMs = nowMs - stall.sinceMs;
    const due = SAMPLES_AT[stall.asked];
    if (due !== undefined && ageMs >= due * this.#thresholdMs && !stack.asking) {
      stall.asked += 1;
      stack.ask((sample) => {
        if (sample !== undefined) stall.samples.push(sample);
        else if (this.#stall === stall) this.#stall = undefined;
      });
    }
    if (ageMs < EARLY_MS || stall.toldEarly) return;
    stall.toldEarly = true;
    reports.early(stall);
  }

  /** Only what no interrupt has seen is worth a question: it ends the profile. */
  #awaitsProfile(stall: Stall, endMs: number): boolean {
    const { askProfile } = this.#parts;
    if (askProfile === undefined || stall.timely.length > 0) return false;
    if (stall.askedProfile) return stall.profiled === undefined;
    if (endMs - this.#profileAskedMs < PROFILE_EVERY_MS) return false;
    this.#profileAskedMs = endMs;
    stall.askedProfile = true;
    askProfile({ fromMs: stall.beginMs, toMs: endMs });
    return true;
  }

  #end(stall: Stall): void {
    this.#stall = undefined;
    this.#parts.stack.cancel();
    if (this.#watches) this.#parts.reports.final(stall);
  }

  /**
   * When this thread's own timer comes late and it had nothing to do, the whole process stood still: it was stopped,
   * the machine slept, or no core was free.
   */
  #noticeFreeze(nowMs: number, latenessMs: number): void {
    const { active } = performance.eventLoopUtilization();
    const frozenMs = latenessMs - (active - this.#active);
    this.#active = active;
    if (frozenMs < this.#thresholdMs / 2 || !this.#watches) return;
    this.#thawedMs = nowMs;
    if (this.#stall !== undefined) this.#stall.frozenMs += frozenMs;
    else if (frozenMs >= this.#thresholdMs && nowMs - this.#startedMs >= GRACE_MS) {
      this.#parts.reports.final(Stall.ofFreeze(nowMs - frozenMs, nowMs));
    }
  }
}
