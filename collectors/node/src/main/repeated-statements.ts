import type { Frame } from "../shared/description.ts";
import type { AgentEvent } from "../shared/messages.ts";
import type { Value } from "../shared/value.ts";
import type { Statement } from "./databases/statement.ts";
import { REPEATED_RUNS, type RequestContext, type Runs } from "./request-context.ts";
import type { SeriesTable } from "./series.ts";

const EVENT_EVERY_MS = 60_000;
const MAX_KEYS = 1000;
const MS_PER_S = 1000;
/** Statements that frame others: what they frame is what is repeated. */
const TRANSACTIONS = new Set(["BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET"]);

/** Finds requests that ran one statement many times; runs side by side are a fan-out and do not count. */
export class RepeatedStatements {
  readonly #table: SeriesTable;
  readonly #emit: (event: AgentEvent) => void;
  readonly #placed: (frames: readonly Frame[]) => void;
  readonly #seen = new Map<string, { readonly occurrences: Value; toldMs: number }>();

  /** `placed` is given the frames of each place that is told, before it is told. */
  constructor(table: SeriesTable, emit: (event: AgentEvent) => void, placed: (frames: readonly Frame[]) => void) {
    this.#table = table;
    this.#emit = emit;
    this.#placed = placed;
  }

  /** To be called when a request ends; answers whether it repeated a statement. */
  check(context: RequestContext, route: string | undefined): boolean {
    let repeated = false;
    for (const [statement, runs] of context.statements) {
      if (runs.sequential < REPEATED_RUNS || TRANSACTIONS.has(statement.operation)) continue;
      repeated = true;
      this.#found(statement, runs, route);
    }
    return repeated;
  }

  #found(statement: Statement, { sequential, totalMs, site }: Runs, route: string | undefined): void {
    const attributes = {
      "db.query.summary": statement.summary,
      ...(route === undefined ? {} : { "http.route": route }),
      ...(site === undefined ? {} : { "tidemark.db.site": site.text }),
    };
    const key = `${route}\n${statement.summary}\n${site?.text}`;
    let seen = this.#seen.get(key);
    if (seen === undefined) {
      if (this.#seen.size >= MAX_KEYS) return;
      if (site !== undefined) this.#placed(site.frames);
      const occurrences = this.#table.value("tidemark.db.n_plus_one", attributes, site?.frames);
      seen = { occurrences, toldMs: Number.NEGATIVE_INFINITY };
      this.#seen.set(key, seen);
    }
    seen.occurrences.add(1);
    const nowMs = performance.now();
    if (nowMs - seen.toldMs < EVENT_EVERY_MS) return;
    seen.toldMs = nowMs;
    this.#emit({
      name: "tidemark.db.n_plus_one",
      timeMs: Date.now(),
      body: `${route ?? "a request"} ran ${statement.summary} ${sequential} times (${totalMs.toFixed(1)} ms), one after the other`,
      attributes: { ...attributes, "tidemark.db.repeats": sequential, "tidemark.db.repeats.time": totalMs / MS_PER_S },
      site: site?.frames,
    });
  }
}
