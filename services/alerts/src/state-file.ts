import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { AlertEvent } from "./events.ts";
import type { Message } from "./notify/delivery.ts";
import type { Alert } from "./notify/payload.ts";
import type { RuleState } from "./state-machine.ts";

const FORMAT = 1;

/** Everything the evaluator must not forget: label sets and their phases, and what was not yet delivered. */
export interface SavedState {
  rules: Record<string, RuleState>;
  /** What receivers believe to fire: by rule id, then by fingerprint. */
  announced: Record<string, Announced>;
  /** Undelivered messages by target. */
  outbox: Record<string, Message[]>;
  /** Rows of `alert_events` that ClickHouse has not taken yet. */
  events: AlertEvent[];
}

export interface Announced {
  /** When a message last told of this rule, in milliseconds since the epoch. */
  toldMs: number;
  alerts: Record<string, Alert>;
}

export class StateFileError extends Error {
  readonly code = "TDM_ALERTS_STATE_FILE";
}

/**
 * One JSON file, replaced atomically: a crash leaves the old or the new state, never half of one.
 * The file is readable by its owner only, since undelivered messages may name internal services.
 */
export class StateFile {
  readonly path: string;

  /** @throws StateFileError if the directory cannot be made. */
  constructor(path: string) {
    this.path = path;
    try {
      mkdirSync(dirname(path), { recursive: true });
    } catch (error) {
      throw new StateFileError(
        `cannot use ${dirname(path)} for the state of the alerts (${reason(error)}); set TIDEMARK_DATA_DIR to a directory that can be written`,
      );
    }
  }

  /**
   * The saved state, or undefined when there is none yet. A file that is no state of ours is set aside
   * as `<path>.unreadable` and reported, so that alerting starts anyway.
   */
  load(report: (message: string) => void): SavedState | undefined {
    let text: string;
    try {
      text = readFileSync(this.path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw new StateFileError(`cannot read ${this.path} (${reason(error)})`);
    }
    try {
      const saved = JSON.parse(text) as Partial<SavedState> & { format?: number };
      if (saved.format !== FORMAT || !saved.rules || !saved.announced || !saved.outbox || !saved.events) {
        throw new Error(`format ${saved.format ?? "missing"}, expected ${FORMAT}`);
      }
      return { rules: saved.rules, announced: saved.announced, outbox: saved.outbox, events: saved.events };
    } catch (error) {
      renameSync(this.path, `${this.path}.unreadable`);
      report(
        `${this.path} is not readable as state (${reason(error)}); kept as ${this.path}.unreadable, starting anew`,
      );
      return undefined;
    }
  }

  /** @throws StateFileError if the disk refuses. The former file stays. */
  save(state: SavedState): void {
    const next = `${this.path}.next`;
    try {
      const fd = openSync(next, "w", 0o600);
      try {
        writeFileSync(fd, JSON.stringify({ format: FORMAT, ...state }));
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(next, this.path);
    } catch (error) {
      throw new StateFileError(`cannot write ${this.path} (${reason(error)})`);
    }
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
