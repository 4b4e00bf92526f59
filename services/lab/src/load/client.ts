import { Pool } from "undici";
import type { PhaseRecorder } from "./recorder.ts";
import type { Stream, Target } from "./story.ts";

const CONNECTIONS_PER_TARGET = 128;
/** Unanswered requests per target, those without a connection included; more are shed and counted. */
const MAX_UNANSWERED = 512;
const ANSWER_TIMEOUT_MS = 30_000;

/** Sends requests to one target and measures each from the moment it was meant to start. */
export class HttpClient {
  readonly #pool: Pool;
  readonly #target: Target;
  #unanswered = 0;
  readonly #unansweredOf = new Map<Stream, number>();

  constructor(target: Target, url: string) {
    this.#target = target;
    this.#pool = new Pool(url, {
      connections: CONNECTIONS_PER_TARGET,
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
    });
  }

  /**
   * Sends one request. Never throws: a failure is an error in the record.
   *
   * @param intendedMs `performance.now()` at which the request should have started; a late timer or a full
   *   connection pool counts as waiting, as it would for a user.
   */
  async send(stream: Stream, intendedMs: number, recorder: PhaseRecorder): Promise<void> {
    const route = `${stream.method === "POST" ? "POST " : ""}${stream.path.split("?", 1)[0]}`;
    const ofStream = this.#unansweredOf.get(stream) ?? 0;
    if (this.#unanswered >= MAX_UNANSWERED || ofStream >= (stream.maxUnanswered ?? MAX_UNANSWERED)) {
      recorder.shed(this.#target, route);
      return;
    }
    this.#unanswered++;
    this.#unansweredOf.set(stream, ofStream + 1);
    recorder.start();
    let ok = false;
    try {
      const { statusCode, body } = await this.#pool.request({
        path: stream.path,
        method: stream.method ?? "GET",
        ...(stream.body !== undefined && { body: stream.body, headers: { "content-type": "application/json" } }),
      });
      await body.dump();
      ok = statusCode >= 200 && statusCode < 300;
    } catch {
      // Counted below; the reason is the service's to tell.
    }
    this.#unanswered--;
    this.#unansweredOf.set(stream, (this.#unansweredOf.get(stream) ?? 1) - 1);
    recorder.finish(this.#target, route, performance.now() - intendedMs, ok);
  }

  /** Breaks every connection: what is unanswered becomes an error at once. */
  async destroy(): Promise<void> {
    await this.#pool.destroy();
  }
}
