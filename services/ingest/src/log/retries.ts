/** How long a repeated request is recognised, in ms: longer than OTLP exporters keep retrying (default 1 minute). */
const REMEMBER_MS = 15 * 60 * 1000;
const MAX_REMEMBERED = 100_000;

interface Memory {
  readonly at: number;
  readonly reply: Promise<Buffer>;
}

/**
 * Requests that were, or are being, made durable but whose sender may not have heard of it: under way at this moment,
 * found in the log after a crash, or whose connection broke before the reply. When the same bytes come again, they are
 * answered and not stored a second time. Requests whose reply was delivered are not kept here: equal bytes from them are
 * new data.
 */
export class Retries {
  private readonly memories = new Map<string, Memory>();
  private readonly underWay = new Map<string, Promise<Buffer>>();
  private readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  remember(digest: string, reply: Promise<Buffer>): void {
    if (this.memories.size >= MAX_REMEMBERED) this.memories.delete(this.memories.keys().next().value!);
    this.memories.set(digest, { at: this.now(), reply });
    // Nothing was kept of a request that failed: when it comes again it is new.
    reply.catch(() => this.memories.delete(digest));
  }

  /** A sender that gave up waiting may be back with the same bytes before the first ones are on disk. */
  begin(digest: string, reply: Promise<Buffer>): void {
    this.underWay.set(digest, reply);
    const end = () => this.underWay.delete(digest);
    reply.then(end, end);
  }

  /** The reply to give to a repeated request, undefined within when the first one failed; undefined for a new one. */
  replyTo(digest: string): Promise<Buffer | undefined> | undefined {
    const underWay = this.underWay.get(digest);
    if (underWay !== undefined) return underWay.catch(() => undefined);
    const memory = this.memories.get(digest);
    if (memory === undefined) return undefined;
    if (this.now() - memory.at > REMEMBER_MS) {
      this.memories.delete(digest);
      return undefined;
    }
    return memory.reply.catch(() => undefined);
  }
}
