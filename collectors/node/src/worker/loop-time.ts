import { monotonicMs } from "../shared/clock.ts";
import type { Control } from "../shared/control.ts";

const MS_PER_S = 1000;
/** A tick later than this means that the loop is held up, and active since the last one. */
const BLOCKED_MS = 750;

export interface LoopTime {
  /** Seconds since the last call. */
  readonly active: number;
  readonly idle: number;
  /** Active share; undefined when no time is known to have passed. */
  readonly utilization: number | undefined;
  readonly blocked: boolean;
}

/**
 * Event-loop time of one interval, also while the loop is blocked: the loop's own account is only brought up to
 * date by its 250 ms tick, so time since a tick that is overdue counts as active, and is set off later.
 */
export class LoopTimeReader {
  readonly #control: Control;
  #activeMs = 0;
  #idleMs = 0;

  constructor(control: Control) {
    this.#control = control;
  }

  read(): LoopTime | undefined {
    const tick = this.#control.lastTick();
    if (tick === undefined) return undefined;
    const sinceTickMs = monotonicMs() - tick.nowMs;
    const blocked = sinceTickMs > BLOCKED_MS;
    const activeMs = tick.activeMs + (blocked ? sinceTickMs : 0);
    const active = Math.max(0, activeMs - this.#activeMs) / MS_PER_S;
    const idle = Math.max(0, tick.idleMs - this.#idleMs) / MS_PER_S;
    this.#activeMs = Math.max(activeMs, this.#activeMs);
    this.#idleMs = tick.idleMs;
    return { active, idle, utilization: active + idle > 0 ? active / (active + idle) : undefined, blocked };
  }
}
