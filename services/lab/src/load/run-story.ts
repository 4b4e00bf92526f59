import { readFile } from "node:fs/promises";
import { type AnnotationTarget, sendAnnotation } from "./annotations.ts";
import { type Arrival, schedule, seededRandom } from "./arrivals.ts";
import { HttpClient } from "./client.ts";
import { PhaseRecorder, type PhaseResult } from "./recorder.ts";
import { affordableSockets, SocketCrowd } from "./sockets.ts";
import { type Phase, story, type Target } from "./story.ts";

const MS_PER_S = 1000;
/** How long the answers of the last phase are waited for. */
const SETTLE_MS = 5_000;
const DEFAULT_SEED = 1;

export interface StoryOptions {
  /** The services to load; one that is absent is left out of the story. */
  urls: Partial<Record<Target, string>>;
  /** Default: the story in two minutes. */
  phases?: Phase[];
  /** Plays the story again and again until the signal. Default false. */
  repeat?: boolean;
  signal?: AbortSignal;
  /** Where a phase's start is announced. */
  annotations?: AnnotationTarget;
  /** Same seed, same arrival times. Default 1. */
  seed?: number;
  onPhaseStart?: (phase: Phase, startedAt: number) => void;
  /** Called when a phase is over and its requests are answered. */
  onPhaseEnd?: (result: PhaseResult) => void;
  /** Something that does not stop the story, for a person to read. */
  onWarning?: (message: string) => void;
}

export interface StoryResult {
  /** True when the signal ended it before its last phase did. */
  interrupted: boolean;
  phases: PhaseResult[];
}

/**
 * Plays the load story: arrivals that do not wait for answers, latencies from the intended start.
 *
 * Resolves within a second of the signal with what was measured until then. A service that fails costs errors in the
 * result, never an exception.
 *
 * @throws TypeError when no URL is given.
 */
export async function runStory(options: StoryOptions): Promise<StoryResult> {
  const targets = Object.entries(options.urls).filter(([, url]) => url !== undefined) as [Target, string][];
  if (targets.length === 0) throw new TypeError("give the URL of at least one service");
  const player = new Player(new Map(targets), options);
  try {
    return await player.play();
  } finally {
    await player.close();
  }
}

class Player {
  readonly #urls: Map<Target, string>;
  readonly #options: StoryOptions;
  readonly #clients: Map<Target, HttpClient>;
  readonly #random: () => number;
  readonly #signal: AbortSignal;
  readonly #results: PhaseResult[] = [];
  readonly #reports: Promise<void>[] = [];
  #warned = false;

  constructor(urls: Map<Target, string>, options: StoryOptions) {
    this.#urls = urls;
    this.#options = options;
    this.#clients = new Map([...urls].map(([target, url]) => [target, new HttpClient(target, url)]));
    this.#random = seededRandom(options.seed ?? DEFAULT_SEED);
    this.#signal = options.signal ?? new AbortController().signal;
  }

  async play(): Promise<StoryResult> {
    const phases = this.#options.phases ?? story();
    do {
      for (const phase of phases) {
        if (this.#signal.aborted) break;
        await this.#playPhase(phase);
      }
    } while (this.#options.repeat && !this.#signal.aborted);
    if (!this.#signal.aborted) await Promise.race([Promise.all(this.#reports), wait(SETTLE_MS, this.#signal)]);
    // What is still unanswered now becomes an error, and with it every phase is complete.
    await this.close();
    await Promise.all(this.#reports);
    return { interrupted: this.#signal.aborted, phases: this.#results };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.destroy()));
  }

  async #playPhase(phase: Phase): Promise<void> {
    const recorder = new PhaseRecorder();
    const startedAt = Date.now();
    this.#options.onPhaseStart?.(phase, startedAt);
    this.#announce(phase, startedAt);
    const crowds = await this.#openSockets(phase, recorder);
    await this.#sendRequests(phase, recorder);
    await Promise.all(crowds.map((crowd) => crowd.stop()));
    this.#reports.push(this.#report(phase, recorder, startedAt, Date.now()));
  }

  async #report(phase: Phase, recorder: PhaseRecorder, startedAt: number, endedAt: number): Promise<void> {
    await recorder.settled();
    const seconds = Math.max(1, endedAt - startedAt) / MS_PER_S;
    const result = { name: phase.name, title: phase.title, startedAt, endedAt, targets: recorder.targets(seconds) };
    // A story that repeats for days must not grow: its phases were handed over by the callback.
    if (!this.#options.repeat) this.#results.push(result);
    this.#options.onPhaseEnd?.(result);
  }

  #announce(phase: Phase, startedAt: number): void {
    if (!this.#options.annotations) return;
    const annotation = { title: phase.title, text: phase.text, startedAt, durationSeconds: phase.seconds };
    void sendAnnotation(this.#options.annotations, annotation).then((failure) => {
      if (failure === undefined || this.#warned || this.#signal.aborted) return;
      this.#warned = true;
      this.#options.onWarning?.(`phases are not announced: ${failure}`);
    });
  }

  async #openSockets(phase: Phase, recorder: PhaseRecorder): Promise<SocketCrowd[]> {
    if (!phase.sockets) return [];
    const { perTarget, targets, messagesPerSecondEach } = phase.sockets;
    const present = targets.filter((target) => this.#urls.has(target));
    const count = affordableSockets(perTarget, present.length, await openFilesLimit());
    if (count < perTarget) {
      this.#options.onWarning?.(`the limit on open files allows ${count} of ${perTarget} WebSockets (ulimit -n)`);
    }
    return present.map((target) => {
      const crowd = new SocketCrowd(target, this.#urls.get(target) as string, recorder);
      crowd.start(count, phase.seconds, messagesPerSecondEach);
      return crowd;
    });
  }

  async #sendRequests(phase: Phase, recorder: PhaseRecorder): Promise<void> {
    const startMs = performance.now();
    const endMs = phase.seconds * MS_PER_S;
    const pending = schedule(phase.streams, phase.seconds, new Set(this.#urls.keys()), this.#random);
    let next = 0;
    for (;;) {
      const elapsedMs = performance.now() - startMs;
      if (this.#signal.aborted) return;
      for (; next < pending.length; next++) {
        const { atMs, target, stream } = pending[next] as Arrival;
        if (atMs > elapsedMs) break;
        void this.#clients.get(target)?.send(stream, startMs + atMs, recorder);
      }
      if (elapsedMs >= endMs) return;
      await wait(Math.max(0, startMs + (pending[next]?.atMs ?? endMs) - performance.now()), this.#signal);
    }
  }
}

/** Waits so long, or until the signal; leaves no listener behind. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (signal.aborted) done();
    else signal.addEventListener("abort", done);
  });
}

/** Hard limit on this process's open files; Infinity where the system does not say. */
async function openFilesLimit(): Promise<number> {
  try {
    const limits = await readFile("/proc/self/limits", "utf8");
    const hard = /^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1];
    return hard === undefined ? Number.POSITIVE_INFINITY : Number(hard);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
