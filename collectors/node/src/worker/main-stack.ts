import { Session } from "node:inspector";
import { monotonicMs } from "../shared/clock.ts";
import type { Control } from "../shared/control.ts";
import type { Description } from "../shared/description.ts";
import { Histogram } from "../shared/histogram.ts";

const MS_PER_S = 1000;

/** What the application's thread answered, and when it was asked (monotonic clock, milliseconds). */
export interface Sample {
  readonly description: Description;
  readonly askedMs: number;
}

/**
 * Asks the application's thread, by an interrupt through the inspector, what it is doing, on top of whatever it does.
 * The session exists only for that moment: one that is left connected prints a line when the process ends.
 */
export class MainStack {
  /** How long the application's thread was held up by each answer, in seconds. */
  readonly holds = new Histogram();
  readonly #control: Control;
  readonly #expression: string;
  readonly #refused: () => void;
  #session: Session | undefined;
  #forbidden: boolean;

  /** `refused` is called once, when a session cannot be made though it is permitted. */
  constructor(control: Control, describe: string, permitted: boolean, refused: () => void) {
    this.#forbidden = !permitted;
    this.#control = control;
    this.#expression = `globalThis.${describe}?.() ?? ""`;
    this.#refused = refused;
  }

  get asking(): boolean {
    return this.#session !== undefined;
  }

  /**
   * Asks, unless a question is open; the answer comes while JavaScript runs, or once a native call returns. It is
   * undefined when the thread would not say: somebody is debugging.
   */
  ask(answered: (sample: Sample | undefined) => void): void {
    if (this.#session !== undefined || this.#forbidden) return;
    const session = this.#connect();
    if (session === undefined) return;
    const askedMs = monotonicMs();
    session.post("Runtime.evaluate", { expression: this.#expression, returnByValue: true }, (_error, answer) => {
      this.cancel();
      const text = (answer as { result?: { value?: unknown } } | undefined)?.result?.value;
      if (typeof text !== "string" || text === "") return answered(undefined);
      const description = JSON.parse(text) as Description;
      this.holds.record(description.heldMs / MS_PER_S, this.#control.epoch);
      answered({ description, askedMs });
    });
  }

  /** Ends a question that is open. */
  cancel(): void {
    this.#session?.disconnect();
    this.#session = undefined;
    this.#control.capturing = false;
  }

  #connect(): Session | undefined {
    this.#control.capturing = true;
    if (this.#control.ending) {
      this.#control.capturing = false;
      return undefined;
    }
    try {
      const session = new Session();
      session.connectToMainThread();
      this.#session = session;
      return session;
    } catch {
      this.#control.capturing = false;
      this.#forbidden = true;
      this.#refused();
      return undefined;
    }
  }
}
