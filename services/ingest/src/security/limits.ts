import { RateLimited } from "../errors.ts";
import type { Limits } from "./tokens.ts";

const MS_PER_S = 1000;
/** What a source may send at once after a pause, in seconds of its rate. */
const BURST_S = 2;

/**
 * A token bucket that may go into debt: what a request costs is known only when it is there, so it is let in while
 * anything is left, and the next ones wait until the debt is paid. Times in ms of a clock that only goes forward.
 */
export class Bucket {
  private readonly perSecond: number;
  private readonly capacity: number;
  private level: number;
  private at: number;

  constructor(perSecond: number, now: number) {
    this.perSecond = perSecond;
    this.capacity = Math.max(1, perSecond * BURST_S);
    this.level = this.capacity;
    this.at = now;
  }

  /** Seconds until `amount` is left, at most what the bucket can hold; 0 for now. */
  wait(now: number, amount = 1): number {
    this.level = Math.min(this.capacity, this.level + ((now - this.at) / MS_PER_S) * this.perSecond);
    this.at = now;
    return Math.max(0, (amount - this.level) / this.perSecond);
  }

  take(amount: number): void {
    this.level -= amount;
  }
}

/**
 * What one source does at this moment, against its limits. Own code and not @fastify/rate-limit or rate-limiter-flexible:
 * those count requests in windows of time, for HTTP or by a promise per request; here bytes count too, requests in
 * flight, and gRPC, and the answer says exactly when to come back.
 */
export class SourceUse {
  readonly name: string;
  private readonly limits: Limits;
  private readonly requests: Bucket | undefined;
  private readonly bytes: Bucket | undefined;
  private inFlight = 0;
  private held = 0;

  constructor(name: string, limits: Limits, now: number) {
    this.name = name;
    this.limits = limits;
    if (limits.requestsPerSecond !== undefined) this.requests = new Bucket(limits.requestsPerSecond, now);
    if (limits.bytesPerSecond !== undefined) this.bytes = new Bucket(limits.bytesPerSecond, now);
  }

  /** Counts a request in; `leave` counts it out. Throws RateLimited. */
  enter(now: number): void {
    const { requestsPerSecond, bytesPerSecond, concurrentRequests } = this.limits;
    this.refuse(this.requests?.wait(now), `${requestsPerSecond} requests/s`, "requests");
    this.refuse(this.bytes?.wait(now), `${bytesPerSecond} bytes/s`, "bytes");
    if (concurrentRequests !== undefined && this.inFlight >= concurrentRequests) {
      this.refuse(1, `${concurrentRequests} requests at once`, "concurrency");
    }
    this.requests?.take(1);
    this.inFlight++;
  }

  /** `held` is what the request had in memory. */
  leave(held: number): void {
    this.inFlight--;
    this.held -= held;
  }

  /** Throws RateLimited. */
  hold(bytes: number, limit: number): void {
    if (this.held + bytes > limit) this.refuse(1, `${limit} bytes in memory`, "memory");
    this.held += bytes;
  }

  /** Counts what has arrived. */
  received(bytes: number): void {
    this.bytes?.take(bytes);
  }

  private refuse(waitSeconds: number | undefined, limit: string, kind: string): void {
    if (waitSeconds === undefined || waitSeconds === 0) return;
    // Retry-After is in whole seconds.
    const retryAfterSeconds = Math.ceil(waitSeconds);
    throw Object.assign(new RateLimited(this.name, limit), { retryAfterSeconds, source: this.name, limit: kind });
  }
}
