import { WebSocket } from "ws";
import type { PhaseRecorder } from "./recorder.ts";
import type { Target } from "./story.ts";

const MS_PER_S = 1000;
const ROUTE = "/ws/echo";
/** The rest of the phase holds all of them open. */
const OPENING_SHARE = 0.6;
const CLOSE_DEADLINE_MS = 800;
/** One message in so many takes the way through the channel layer. */
const LAYER_EVERY = 10;

/** The WebSockets of one phase at one target. */
export class SocketCrowd {
  readonly #url: string;
  readonly #target: Target;
  readonly #recorder: PhaseRecorder;
  readonly #sockets = new Set<WebSocket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #open = 0;
  #stopping = false;

  constructor(target: Target, httpUrl: string, recorder: PhaseRecorder) {
    const url = new URL(ROUTE, httpUrl);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#url = url.href;
    this.#target = target;
    this.#recorder = recorder;
  }

  /** Opens the sockets evenly over the first part of the phase, so that memory can be fitted against their number. */
  start(count: number, phaseSeconds: number, messagesPerSecondEach: number): void {
    const stepMs = (phaseSeconds * OPENING_SHARE * MS_PER_S) / count;
    const startMs = performance.now();
    let opened = 0;
    const timer = setInterval(() => {
      while (opened < count && startMs + opened * stepMs <= performance.now()) {
        this.#openOne(MS_PER_S / messagesPerSecondEach, opened);
        opened++;
      }
      if (opened >= count) {
        clearInterval(timer);
        this.#timers.delete(timer);
      }
    }, stepMs);
    this.#timers.add(timer);
  }

  #openOne(messageGapMs: number, number: number): void {
    const socket = new WebSocket(this.#url, { perMessageDeflate: false });
    const unanswered: number[] = [];
    let sent = 0;
    let wasOpen = false;
    this.#sockets.add(socket);
    const send = () => {
      // One at a time: an unanswered echo is older news than a second one.
      if (this.#stopping || socket.readyState !== WebSocket.OPEN || unanswered.length > 0) return;
      unanswered.push(performance.now());
      this.#recorder.start();
      socket.send(`${(number + sent++) % LAYER_EVERY === 0 ? "layer:" : ""}message ${sent} of socket ${number}`);
    };
    const answered = (ok: boolean) => {
      const startMs = unanswered.shift();
      if (startMs !== undefined) this.#recorder.finish(this.#target, ROUTE, performance.now() - startMs, ok);
    };
    let timer: NodeJS.Timeout | undefined;
    socket.on("open", () => {
      wasOpen = true;
      this.#open++;
      this.#recorder.socketsOpen(this.#target, this.#open);
      send();
      timer = setInterval(send, messageGapMs);
      this.#timers.add(timer);
    });
    socket.on("message", () => answered(true));
    // "close" always follows and does the counting.
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(timer);
      if (timer) this.#timers.delete(timer);
      this.#sockets.delete(socket);
      if (wasOpen) this.#open--;
      if (unanswered.length > 0) answered(false);
      else if (!this.#stopping) {
        // It did not open, or the service ended it.
        this.#recorder.start();
        this.#recorder.finish(this.#target, ROUTE, 0, false);
      }
    });
  }

  /** Closes every socket; those whose peer does not answer are cut after a moment. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    const closed = [...this.#sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    for (const socket of this.#sockets) socket.close();
    const cut = setTimeout(() => {
      for (const socket of this.#sockets) socket.terminate();
    }, CLOSE_DEADLINE_MS);
    await Promise.all(closed);
    clearTimeout(cut);
  }
}

/**
 * How many sockets per target the limit on open files allows, at most `wanted`. Node raises its own soft limit to the
 * hard one, so the hard one counts.
 *
 * @param openFilesLimit `ulimit -Hn`; Infinity when unknown, then a refusal is counted as an error.
 */
export function affordableSockets(wanted: number, targets: number, openFilesLimit: number): number {
  const reserved = 600;
  return Math.max(0, Math.min(wanted, Math.floor((openFilesLimit - reserved) / Math.max(1, targets))));
}
