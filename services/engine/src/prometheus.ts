import type { EngineService } from "./service.ts";

const PREFIX = "tidemark_engine";

/** The engine's own counters in Prometheus' text format; times in seconds, sizes in bytes. */
export function prometheusText(service: EngineService): string {
  const { counters, readers, writers, inserts } = service;
  const lines: string[] = [];
  const family = (
    name: string,
    type: "counter" | "gauge",
    help: string,
    values: Record<string, number>,
    label?: string,
  ): void => {
    lines.push(`# HELP ${PREFIX}_${name} ${help}`, `# TYPE ${PREFIX}_${name} ${type}`);
    for (const [key, value] of Object.entries(values)) {
      lines.push(`${PREFIX}_${name}${label === undefined ? "" : `{${label}="${key}"}`} ${value}`);
    }
  };
  family("queries_total", "counter", "Statements by kind.", counters.queries, "kind");
  family("query_seconds_total", "counter", "Time statements took, waiting included.", counters.seconds, "kind");
  family("query_errors_total", "counter", "Statements that failed.", counters.errors, "kind");
  family("inserted_bytes_total", "counter", "Bytes of rows inserted.", { all: counters.insertedBytes });
  const gates = { read: readers, write: writers, insert: inserts };
  const each = (of: (gate: (typeof gates)["read"]) => number) =>
    Object.fromEntries(Object.entries(gates).map(([kind, gate]) => [kind, of(gate)]));
  family(
    "queries_running",
    "gauge",
    "Statements that run now.",
    each((gate) => gate.running),
    "kind",
  );
  family(
    "queries_waiting",
    "gauge",
    "Statements that wait for a slot.",
    each((gate) => gate.waiting),
    "kind",
  );
  family(
    "queries_refused_total",
    "counter",
    "Statements refused because too many waited.",
    each((gate) => gate.refused),
    "kind",
  );
  family("resident_memory_bytes", "gauge", "Resident memory of the engine's process.", {
    all: process.memoryUsage.rss(),
  });
  return `${lines.join("\n")}\n`;
}
