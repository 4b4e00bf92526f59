import { TARGETS, type Target } from "./story.ts";

const MS_PER_S = 1000;

/** What the client saw on one route or on all of them; times in seconds from the intended start. */
export interface ClientView {
  requests: number;
  /** Answers that were not 2xx, time-outs and broken connections. */
  errors: number;
  /** Arrivals not sent because too many were unanswered: `Stream.maxUnanswered`. */
  shed: number;
  /** Answered requests per second of the phase. */
  rate: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface PhaseResult {
  name: string;
  title: string;
  /** Milliseconds since the epoch. */
  startedAt: number;
  endedAt: number;
  targets: Partial<Record<Target, ClientView & { routes: Record<string, ClientView>; sockets?: number }>>;
}

class Tally {
  readonly latenciesMs: number[] = [];
  errors = 0;
  shed = 0;

  view(seconds: number): ClientView {
    const sorted = this.latenciesMs.toSorted((a, b) => a - b);
    return {
      requests: sorted.length + this.errors,
      errors: this.errors,
      shed: this.shed,
      rate: rounded(sorted.length / seconds),
      p50: quantile(sorted, 0.5),
      p95: quantile(sorted, 0.95),
      p99: quantile(sorted, 0.99),
    };
  }
}

/** Collects one phase: latencies by target and route, and whether requests of it are still on their way. */
export class PhaseRecorder {
  readonly #tallies = new Map<Target, Map<string, Tally>>();
  readonly #sockets = new Map<Target, number>();
  #pending = 0;
  #onSettled: (() => void) | undefined;

  start(): void {
    this.#pending++;
  }

  finish(target: Target, route: string, latencyMs: number, ok: boolean): void {
    const tally = this.#tally(target, route);
    if (ok) tally.latenciesMs.push(latencyMs);
    else tally.errors++;
    this.#pending--;
    if (this.#pending === 0) this.#onSettled?.();
  }

  shed(target: Target, route: string): void {
    this.#tally(target, route).shed++;
  }

  /** Largest number of WebSockets open at once. */
  socketsOpen(target: Target, count: number): void {
    this.#sockets.set(target, Math.max(count, this.#sockets.get(target) ?? 0));
  }

  /** Resolves when no request of the phase is on its way. */
  settled(): Promise<void> {
    if (this.#pending === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onSettled = resolve;
    });
  }

  targets(seconds: number): PhaseResult["targets"] {
    const targets: PhaseResult["targets"] = {};
    for (const target of TARGETS) {
      const routes = this.#tallies.get(target);
      if (!routes) continue;
      const all = new Tally();
      for (const tally of routes.values()) {
        // No spread: a phase may hold more latencies than a call takes arguments.
        for (const latencyMs of tally.latenciesMs) all.latenciesMs.push(latencyMs);
        all.errors += tally.errors;
        all.shed += tally.shed;
      }
      const sockets = this.#sockets.get(target);
      targets[target] = {
        ...all.view(seconds),
        routes: Object.fromEntries([...routes].map(([route, tally]) => [route, tally.view(seconds)])),
        ...(sockets !== undefined && { sockets }),
      };
    }
    return targets;
  }

  #tally(target: Target, route: string): Tally {
    const routes = this.#tallies.get(target) ?? new Map<string, Tally>();
    this.#tallies.set(target, routes);
    const tally = routes.get(route) ?? new Tally();
    routes.set(route, tally);
    return tally;
  }
}

/** Quantile of sorted milliseconds in seconds: the smallest value with at least that share at or below it. */
function quantile(sortedMs: number[], share: number): number | null {
  const value = sortedMs[Math.max(0, Math.ceil(sortedMs.length * share) - 1)];
  return value === undefined ? null : rounded(value / MS_PER_S);
}

function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
