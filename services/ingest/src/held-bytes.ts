import { TooBusy } from "./errors.ts";

/** Bytes of all bodies in memory at once, however they came, under one limit. */
export class HeldBytes {
  private readonly limit: number;
  private held = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Throws TooBusy when there is no room; nothing is counted then. */
  take(bytes: number): void {
    if (this.held + bytes > this.limit) throw new TooBusy(String(this.held), String(this.limit));
    this.held += bytes;
  }

  give(bytes: number): void {
    this.held -= bytes;
  }

  get bytes(): number {
    return this.held;
  }
}
