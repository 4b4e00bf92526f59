import { fingerprint, type Labels } from "./labels.ts";

const MS_PER_S = 1000;

/** Evaluations a label set may be missing before it counts as gone. Source: Grafana, `missing_series_evals_to_resolve`. */
export const STALE_EVALUATIONS = 2;

/** Missed evaluations after which nobody can say that a condition held all the time. */
const UNOBSERVED_INTERVALS = 4;
const UNOBSERVED_MIN_MS = 60 * MS_PER_S;

export type Comparison = ">" | ">=" | "<" | "<=";
export type NoDataPolicy = "OK" | "NoData" | "Alerting" | "KeepLast";

/** What the state machine needs to know of a rule. Durations in seconds. */
export interface Policy {
  op: Comparison;
  value: number;
  /** Hysteresis: a raised label set calms down only when this level is crossed back. */
  recover?: number;
  /** How long the condition holds before it fires. */
  forS: number;
  /** How long the alert keeps firing after the condition has gone. */
  keepS: number;
  noData: NoDataPolicy;
}

export interface Row {
  labels: Labels;
  value: number;
}

export type Observation = { kind: "rows"; rows: readonly Row[] } | { kind: "error"; message: string };

export type Phase = "pending" | "firing" | "recovering" | "no_data" | "error";

/** One label set that is not calm. Times in milliseconds since the epoch. */
export interface Instance {
  fingerprint: string;
  labels: Labels;
  phase: Phase;
  /** Start of this phase. */
  sinceMs: number;
  /** When the alert began to fire (before that: when the condition began). */
  startedMs: number;
  value: number | null;
  message: string;
  /** Successful evaluations in a row in which the label set did not appear. */
  missed: number;
}

export interface RuleState {
  instances: Record<string, Instance>;
  health: "unknown" | "ok" | "no_data" | "error";
  message: string;
  evaluatedMs: number | null;
  observedMs: number | null;
}

/** `recovered`: it fired and ended; `inactive`: it ended before it fired. */
export type EventState = "inactive" | "pending" | "firing" | "recovered" | "no_data" | "error";

export interface Transition {
  state: EventState;
  instance: Instance;
  atMs: number;
  reason: "" | "missing" | "no_data";
}

export const emptyRuleState = (): RuleState => ({
  instances: {},
  health: "unknown",
  message: "",
  evaluatedMs: null,
  observedMs: null,
});

/**
 * The next state of a rule, and what changed, after one evaluation at `atMs`. Pure; never throws.
 *
 * Grafana's order of states (`pkg/services/ngalert/state/state.go`): normal, pending until `forS` has passed, firing,
 * recovering for `keepS`, normal; a label set that stays away for two evaluations is resolved; no rows at all goes by
 * `noData`. Two differences, on purpose: while the query fails, every label set keeps its state (Grafana resolves it as
 * missing after two intervals), and time in which nothing was evaluated does not count towards `forS`.
 */
export function step(
  policy: Policy,
  previous: RuleState,
  observation: Observation,
  atMs: number,
  intervalS: number,
): { state: RuleState; transitions: Transition[] } {
  const run = new Step(policy, previous, atMs, intervalS);
  if (observation.kind === "error") run.failed(observation.message);
  else if (observation.rows.length === 0) run.empty();
  else run.rows(observation.rows);
  return { state: run.state, transitions: run.transitions };
}

class Step {
  readonly state: RuleState;
  readonly transitions: Transition[] = [];
  private readonly policy: Policy;
  private readonly atMs: number;

  constructor(policy: Policy, previous: RuleState, atMs: number, intervalS: number) {
    this.policy = policy;
    this.atMs = atMs;
    this.state = {
      ...previous,
      instances: Object.fromEntries(Object.entries(previous.instances).map(([key, i]) => [key, { ...i }])),
      evaluatedMs: atMs,
    };
    const gapMs = previous.observedMs === null ? 0 : atMs - previous.observedMs;
    if (gapMs > Math.max(UNOBSERVED_INTERVALS * intervalS * MS_PER_S, UNOBSERVED_MIN_MS)) {
      for (const instance of Object.values(this.state.instances)) {
        if (instance.phase !== "pending") continue;
        instance.sinceMs += gapMs;
        instance.startedMs += gapMs;
      }
    }
  }

  failed(message: string): void {
    this.state.health = "error";
    this.state.message = message;
    this.own("error", message);
  }

  empty(): void {
    this.healthy("no_data");
    const { noData } = this.policy;
    if (noData === "KeepLast") return;
    if (noData === "OK") {
      for (const instance of this.instances()) this.calm(instance, instance.value, "no_data");
      return;
    }
    if (noData === "NoData") {
      for (const instance of this.instances()) if (instance.phase !== "no_data") this.missing(instance);
      this.own("no_data", "the query returned no rows");
      return;
    }
    const raised = this.instances();
    if (raised.length === 0) this.raise({}, null);
    for (const instance of raised) this.raise(instance.labels, instance.value);
  }

  rows(rows: readonly Row[]): void {
    this.healthy("ok");
    const seen = new Set<string>();
    for (const { labels, value } of rows) {
      const key = fingerprint(labels);
      seen.add(key);
      const instance = this.state.instances[key];
      const raised = instance?.phase === "pending" || instance?.phase === "firing";
      if (raised ? !this.recovered(value) : compare(value, this.policy.op, this.policy.value))
        this.raise(labels, value);
      else if (instance) this.calm(instance, value, "");
    }
    for (const instance of this.instances()) if (!seen.has(instance.fingerprint)) this.missing(instance);
  }

  private raise(labels: Labels, value: number | null): void {
    const key = fingerprint(labels);
    let instance = this.state.instances[key];
    if (!instance) {
      instance = {
        fingerprint: key,
        labels,
        phase: "pending",
        sinceMs: this.atMs,
        startedMs: this.atMs,
        value,
        message: "",
        missed: 0,
      };
      this.state.instances[key] = instance;
      if (this.policy.forS > 0) this.changed("pending", instance);
    }
    instance.value = value;
    instance.missed = 0;
    if (instance.phase === "recovering") instance.phase = "firing";
    if (instance.phase === "pending" && this.atMs - instance.sinceMs >= this.policy.forS * MS_PER_S) {
      instance.phase = "firing";
      instance.sinceMs = this.atMs;
      instance.startedMs = this.atMs;
      this.changed("firing", instance);
    }
  }

  /** A raised label set at exactly the recover level stays raised, as with Grafana's `unloadEvaluator`. */
  private recovered(value: number): boolean {
    const { op, recover } = this.policy;
    if (recover === undefined) return !compare(value, op, this.policy.value);
    return op.startsWith(">") ? value < recover : value > recover;
  }

  private calm(instance: Instance, value: number | null, reason: Transition["reason"]): void {
    instance.value = value;
    instance.missed = 0;
    if (this.policy.keepS > 0 && instance.phase === "firing") {
      instance.phase = "recovering";
      instance.sinceMs = this.atMs;
      return;
    }
    if (instance.phase === "recovering" && this.atMs - instance.sinceMs < this.policy.keepS * MS_PER_S) return;
    this.end(instance, reason);
  }

  private missing(instance: Instance): void {
    instance.missed += 1;
    if (instance.missed >= STALE_EVALUATIONS) this.end(instance, "missing");
  }

  /** The rule's own alert, with no labels of a row: the query failed or has nothing to say. */
  private own(phase: "error" | "no_data", message: string): void {
    const key = ownKey(phase);
    const existing = this.state.instances[key];
    if (existing) {
      existing.message = message;
      return;
    }
    const instance: Instance = {
      fingerprint: key,
      labels: {},
      phase,
      sinceMs: this.atMs,
      startedMs: this.atMs,
      value: null,
      message,
      missed: 0,
    };
    this.state.instances[key] = instance;
    this.changed(phase, instance);
  }

  /** The query answered: the alert that it does not is over. */
  private healthy(health: "ok" | "no_data"): void {
    this.state.health = health;
    this.state.message = "";
    this.state.observedMs = this.atMs;
    const over: Phase[] = health === "ok" ? ["error", "no_data"] : ["error"];
    for (const instance of Object.values(this.state.instances)) {
      if (over.includes(instance.phase)) this.end(instance, "");
    }
  }

  private end(instance: Instance, reason: Transition["reason"]): void {
    delete this.state.instances[instance.fingerprint];
    this.changed(endedAs(instance.phase), instance, reason);
  }

  private changed(state: EventState, instance: Instance, reason: Transition["reason"] = ""): void {
    this.transitions.push({ state, instance: { ...instance }, atMs: this.atMs, reason });
  }

  private instances(): Instance[] {
    return Object.values(this.state.instances);
  }
}

const ownKey = (phase: "error" | "no_data"): string => fingerprint({ __state__: phase });

const endedAs = (phase: Phase): EventState => (phase === "pending" ? "inactive" : "recovered");

function compare(value: number, op: Comparison, level: number): boolean {
  if (op === ">") return value > level;
  if (op === ">=") return value >= level;
  if (op === "<") return value < level;
  return value <= level;
}
