import cluster, { type Worker } from "node:cluster";
import type { Guard } from "../main/guard.ts";
import type { SeriesTable } from "../main/series.ts";
import type { Value } from "../shared/value.ts";

/** Codes and signals kept apart; further ones count as `_OTHER`. */
const MAX_ENDS = 32;

/**
 * The workers of `cluster`, as its primary sees them: how many are up, how they end, and how often one is replaced.
 * What each of them does is in its own agent's data. Returns a function that stops it.
 */
export function followCluster(series: SeriesTable, guard: Guard): () => void {
  if (!cluster.isPrimary) return () => {};
  let workers: ClusterWorkers | undefined;
  const known = () => {
    workers ??= new ClusterWorkers(series);
    return workers;
  };
  const forked = guard(() => known().forked());
  const online = guard((worker: Worker) => known().online(worker));
  const exited = guard((worker: Worker, end: string | undefined) => known().exited(worker, end));
  // The code is null for a worker that a signal ended.
  const onExit = (worker: Worker, code: number | null, signal: string | null) => {
    exited(worker, signal ?? (code === 0 ? undefined : String(code)));
  };
  cluster.on("fork", forked);
  cluster.on("online", online);
  cluster.on("exit", onExit);
  return () => {
    cluster.removeListener("fork", forked);
    cluster.removeListener("online", online);
    cluster.removeListener("exit", onExit);
  };
}

class ClusterWorkers {
  readonly #series: SeriesTable;
  readonly #capacity: Value;
  readonly #restarts: Value;
  readonly #exits = new Map<string | undefined, Value>();
  readonly #up = new Set<Worker>();
  #missing = 0;

  constructor(series: SeriesTable) {
    this.#series = series;
    this.#capacity = series.value("tidemark.resource.capacity", {
      "tidemark.resource.kind": "worker",
      "tidemark.resource.name": "cluster",
      "tidemark.resource.scope": "process",
    });
    this.#restarts = series.value("tidemark.worker.restarts", {});
  }

  forked(): void {
    if (this.#missing === 0) return;
    this.#missing -= 1;
    this.#restarts.add(1);
  }

  online(worker: Worker): void {
    this.#up.add(worker);
    this.#capacity.current = this.#up.size;
  }

  /** `end`: the signal, or the code when it is not 0. */
  exited(worker: Worker, end: string | undefined): void {
    this.#up.delete(worker);
    this.#capacity.current = this.#up.size;
    this.#missing += 1;
    this.#exitsBy(end).add(1);
  }

  #exitsBy(end: string | undefined): Value {
    let exits = this.#exits.get(end);
    if (exits !== undefined) return exits;
    if (this.#exits.size >= MAX_ENDS && end !== "_OTHER") return this.#exitsBy("_OTHER");
    exits = this.#series.value("tidemark.worker.exits", end === undefined ? {} : { "error.type": end });
    this.#exits.set(end, exits);
    return exits;
  }
}
