import { TABLE_ORDER } from "../rows/tables.ts";
import type { ClickHouse } from "./clickhouse.ts";

const PING_EVERY_MS = 1000;
const PING_TIMEOUT_MS = 3000;

/** `unknown` until the first answer; `tables missing` until the migrations have run. */
export type Reachability = "unknown" | "ok" | "unreachable" | "tables missing";

/** Asks ClickHouse, at once and every second, whether it answers and has the tables that the ingest writes. */
export class Reach {
  private readonly clickhouse: ClickHouse;
  private readonly changed: (state: Reachability, reason: string) => void;
  private readonly abort = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  state: Reachability = "unknown";

  /** `changed` is told every new state, and why. */
  constructor(clickhouse: ClickHouse, changed: (state: Reachability, reason: string) => void) {
    this.clickhouse = clickhouse;
    this.changed = changed;
  }

  start(): void {
    void this.ping();
  }

  stop(): void {
    this.abort.abort();
    clearTimeout(this.timer);
  }

  private async ping(): Promise<void> {
    let state: Reachability = "ok";
    let reason = "";
    try {
      const signal = AbortSignal.any([this.abort.signal, AbortSignal.timeout(PING_TIMEOUT_MS)]);
      const missing = await this.clickhouse.missing(TABLE_ORDER, signal);
      if (missing.length > 0) {
        state = "tables missing";
        reason = missing.join(", ");
      }
    } catch (error) {
      state = "unreachable";
      reason = (error as Error).message;
    }
    if (this.abort.signal.aborted) return;
    if (state !== this.state) {
      this.state = state;
      this.changed(state, reason);
    }
    this.timer = setTimeout(() => void this.ping(), PING_EVERY_MS);
  }
}
