import { Session } from "node:inspector";
import type { Control } from "../shared/control.ts";
import type { Description, Frame } from "../shared/description.ts";
import type { AgentEvent, Attributes } from "../shared/messages.ts";
import type { MainThreadCpu } from "./thread-cpu.ts";

const MS_PER_S = 1000;
/** Modules are being loaded: not what an operator means by a stall. */
const GRACE_MS = 3000;
const CAPTURE_EVERY_MS = 1000;
const EVENT_EVERY_MS = 60_000;
const MAX_EVENTS_PER_HOUR = 30;
const HOUR_MS = 3_600_000;
const MAX_CULPRITS = 100;
const MAX_STACK_CHARACTERS = 4096;
const FINGERPRINT_FRAMES = 3;
const BUSY_SHARE = 0.5;

/** One kind of block, counted. */
interface Culprit {
  readonly attributes: Attributes;
  count: number;
  toldMs: number;
}

/**
 * Names what blocks the event loop, while it blocks it: when the oldest probe is older than the threshold, the
 * application's thread is asked, by an interrupt through the inspector, for its stack. The session exists only for
 * that moment: one that is left connected prints a line when the process ends.
 */
export class Watchdog {
  readonly #control: Control;
  readonly #describe: string;
  readonly #thresholdMs: number;
  readonly #emit: (event: AgentEvent) => void;
  readonly #cpu: MainThreadCpu;
  readonly #culprits = new Map<string, Culprit>();
  readonly #startedMs = performance.now();
  #session: Session | undefined;
  #handled = 0;
  #capturedMs = Number.NEGATIVE_INFINITY;
  #told: number[] = [];

  constructor(
    control: Control,
    describe: string,
    thresholdSeconds: number,
    cpu: MainThreadCpu,
    emit: (event: AgentEvent) => void,
  ) {
    this.#control = control;
    this.#describe = describe;
    this.#thresholdMs = thresholdSeconds * MS_PER_S;
    this.#cpu = cpu;
    this.#emit = emit;
  }

  /** To be called with each probe: age and number of the oldest unanswered one, and how late this thread itself is. */
  check(ageMs: number, sequence: number, ownLatenessMs: number): void {
    const nowMs = performance.now();
    if (this.#thresholdMs === 0 || ageMs < this.#thresholdMs || sequence === this.#handled) return;
    if (ownLatenessMs > this.#thresholdMs / 2) return; // the whole process stood still
    if (nowMs - this.#startedMs < GRACE_MS || nowMs - this.#capturedMs < CAPTURE_EVERY_MS) return;
    if (this.#session !== undefined) return;
    this.#handled = sequence;
    this.#capturedMs = nowMs;
    this.#capture(ageMs, sequence);
  }

  /** Blocks counted so far, by culprit. */
  get blocks(): readonly Culprit[] {
    return [...this.#culprits.values()];
  }

  /** Ends a capture that is under way. */
  disconnect(): void {
    this.#session?.disconnect();
    this.#session = undefined;
    this.#control.capturing = false;
  }

  #capture(ageMs: number, sequence: number): void {
    this.#control.capturing = true;
    const session = new Session();
    this.#session = session;
    const reason = this.#reason();
    session.connectToMainThread();
    const parameters = { expression: `globalThis.${this.#describe}?.() ?? ""`, returnByValue: true };
    session.post("Runtime.evaluate", parameters, (_error, answer) => {
      this.disconnect();
      const text = (answer as { result?: { value?: unknown } } | undefined)?.result?.value;
      if (typeof text !== "string" || text === "") return;
      this.#captured(JSON.parse(text) as Description, ageMs, sequence, reason);
    });
  }

  #captured(description: Description, ageMs: number, sequence: number, reason: string | undefined): void {
    const application = description.frames.filter(isApplication);
    const answeredMs = this.#control.answeredAt(sequence);
    const late = application.length === 0 || (answeredMs !== undefined && answeredMs <= description.atMs);
    const culprit = application[0];
    const attributes: Attributes = {
      ...(description.route === undefined ? {} : { "http.route": description.route }),
      ...(culprit === undefined ? {} : { "code.function.name": culprit.function, "code.file.path": culprit.file }),
      "tidemark.stall.late": late,
    };
    const fingerprint = [...application.slice(0, FINGERPRINT_FRAMES).map(place), description.route].join("\n");
    let known = this.#culprits.get(fingerprint);
    if (known === undefined) {
      if (this.#culprits.size >= MAX_CULPRITS) return;
      known = { attributes, count: 0, toldMs: Number.NEGATIVE_INFINITY };
      this.#culprits.set(fingerprint, known);
    }
    known.count += 1;
    const nowMs = performance.now();
    this.#told = this.#told.filter((at) => nowMs - at < HOUR_MS);
    if (nowMs - known.toldMs < EVENT_EVERY_MS || this.#told.length >= MAX_EVENTS_PER_HOUR) return;
    known.toldMs = nowMs;
    this.#told.push(nowMs);
    const seconds = ageMs / MS_PER_S;
    const where = culprit === undefined ? "native code" : `${culprit.function} (${place(culprit)})`;
    this.#emit({
      name: "tidemark.stall",
      timeMs: Date.now() - ageMs,
      body: `event loop blocked for ${seconds.toFixed(3)} s so far in ${where}`,
      attributes: {
        "tidemark.resource.kind": "event_loop",
        "tidemark.resource.name": "main",
        "tidemark.stall.reason": reason ?? (description.frames[0]?.file.startsWith("node:") ? "io" : "unknown"),
        "tidemark.stall.duration": seconds,
        ...attributes,
        ...(culprit === undefined ? {} : { "code.line.number": culprit.line }),
        "code.stacktrace": description.frames
          .map((frame) => `${frame.function} (${place(frame)})`)
          .reverse()
          .join(";")
          .slice(-MAX_STACK_CHARACTERS),
      },
      traceId: description.traceId,
      spanId: description.spanId,
    });
  }

  /** Whether the thread runs, waits for a core, or sleeps; undefined when it sleeps or cannot be asked. */
  #reason(): string | undefined {
    const shares = this.#cpu.sharesSinceTick();
    if (shares === undefined) return undefined;
    if (shares.waiting > BUSY_SHARE) return "starved";
    return shares.running > BUSY_SHARE ? "cpu" : undefined;
  }
}

function isApplication({ file }: Frame): boolean {
  return file !== "" && !file.startsWith("node:") && !/[\\/]node_modules[\\/]/.test(file);
}

function place({ file, line, column }: Frame): string {
  return `${file}:${line}:${column}`;
}
