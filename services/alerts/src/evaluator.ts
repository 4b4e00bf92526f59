import type { Clock } from "./clock.ts";
import { rowsOf, type Table } from "./rows.ts";
import {
  emptyRuleState,
  type Observation,
  type Policy,
  type RuleState,
  step,
  type Transition,
} from "./state-machine.ts";

const MS_PER_S = 1000;
/** A query gets the whole interval, and on short intervals at least this. */
const MIN_QUERY_TIMEOUT_MS = 10_000;

/** A rule ready to be evaluated. */
export interface EvaluatedRule {
  id: string;
  policy: Policy;
  /** The query at a moment: its window ends there. */
  sql(nowMs: number): string;
}

export interface EvaluatorOptions {
  rules: readonly EvaluatedRule[];
  states: Map<string, RuleState>;
  clock: Clock;
  intervalS: number;
  query(sql: string, timeoutMs: number, signal: AbortSignal): Promise<Table>;
  onEvaluated(rule: EvaluatedRule, state: RuleState, transitions: readonly Transition[], durationMs: number): void;
}

/**
 * Evaluates every rule once per interval, each on its own timer: a slow rule misses its own turns and nobody else's.
 * The rules start spread over the interval, so that the store sees a trickle of small queries and no volley.
 */
export class Evaluator {
  private readonly options: EvaluatorOptions;
  private readonly cancels = new Map<string, () => void>();
  private readonly running = new Map<string, Promise<void>>();
  private readonly queries = new Set<AbortController>();
  private stopped = false;
  /** Milliseconds since the epoch of the last finished evaluation of any rule. */
  lastFinishedMs: number | null = null;

  constructor(options: EvaluatorOptions) {
    this.options = options;
  }

  start(): void {
    const { rules, clock } = this.options;
    const intervalMs = this.options.intervalS * MS_PER_S;
    const startMs = clock.now();
    rules.forEach((rule, index) => {
      this.schedule(rule, startMs + (index * intervalMs) / rules.length);
    });
  }

  /** Ends the timers, aborts the queries on their way and waits for them. */
  async stop(): Promise<void> {
    this.stopped = true;
    for (const query of this.queries) query.abort();
    for (const cancel of this.cancels.values()) cancel();
    this.cancels.clear();
    await Promise.all(this.running.values());
  }

  /** One evaluation now; does nothing while the rule's previous one still runs. */
  evaluate(rule: EvaluatedRule): Promise<void> {
    const running = this.running.get(rule.id);
    if (running) return running;
    const evaluation = this.run(rule).finally(() => this.running.delete(rule.id));
    this.running.set(rule.id, evaluation);
    return evaluation;
  }

  private schedule(rule: EvaluatedRule, dueMs: number): void {
    const { clock, intervalS } = this.options;
    const cancel = clock.after(Math.max(0, dueMs - clock.now()), () => {
      void this.evaluate(rule).then(() => {
        if (this.stopped) return;
        const missed = Math.max(0, Math.floor((clock.now() - dueMs) / (intervalS * MS_PER_S)));
        this.schedule(rule, dueMs + (missed + 1) * intervalS * MS_PER_S);
      });
    });
    this.cancels.set(rule.id, cancel);
  }

  private async run(rule: EvaluatedRule): Promise<void> {
    const { clock, intervalS, states } = this.options;
    const startedMs = clock.now();
    const observation = await this.observe(rule, startedMs);
    if (!observation) return;
    const { state, transitions } = step(
      rule.policy,
      states.get(rule.id) ?? emptyRuleState(),
      observation,
      startedMs,
      intervalS,
    );
    states.set(rule.id, state);
    this.lastFinishedMs = clock.now();
    this.options.onEvaluated(rule, state, transitions, this.lastFinishedMs - startedMs);
  }

  private async observe(rule: EvaluatedRule, nowMs: number): Promise<Observation | undefined> {
    const timeoutMs = Math.max(MIN_QUERY_TIMEOUT_MS, this.options.intervalS * MS_PER_S);
    // One controller per query: a signal that lives as long as the process would collect a listener for each.
    const query = new AbortController();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      query.abort();
    }, timeoutMs);
    this.queries.add(query);
    try {
      const table = await this.options.query(rule.sql(nowMs), timeoutMs, query.signal);
      return { kind: "rows", rows: rowsOf(table) };
    } catch (error) {
      if (this.stopped) return undefined;
      if (late) return { kind: "error", message: `no answer within ${timeoutMs / MS_PER_S} s` };
      return { kind: "error", message: error instanceof Error ? describe(error) : String(error) };
    } finally {
      clearTimeout(timer);
      this.queries.delete(query);
    }
  }
}

/** Node hides the refusal of every address in `errors`, and often leaves the message empty. */
function describe(error: Error): string {
  if (error instanceof AggregateError && error.errors.length > 0)
    return String(error.errors[0]?.message ?? error.errors[0]);
  return error.message || error.name;
}
