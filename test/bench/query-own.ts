/** What one ingest reports about itself (services/ingest/src/self): metric, attribute, one series per value of it. */
const TABLES = ["resource_samples", "http_requests", "request_phases", "query_timings", "samples", "exp_histograms"];
const OWN_SECONDS = 10;
const PER_DAY = 86_400 / OWN_SECONDS;
const INSTANCE = "5f0c2a9e-ingest";
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];

type Own = readonly [metric: string, attribute: string, values: readonly string[]];

function numbers(sources: readonly string[]): Own[] {
  const own = (name: string, attribute = "", values: readonly string[] = [""]): Own => [
    `tidemark.ingest.${name}`,
    attribute,
    values,
  ];
  return [
    own("queue.age"),
    own("queue.size"),
    own("queue.limit"),
    own("clickhouse.up"),
    own("series", "db.collection.name", ["series"]),
    own("points", "tidemark.source", sources),
    own("io", "tidemark.source", sources),
    own("requests", "tidemark.signal", ["metrics", "traces", "logs"]),
    own("rejected", "tidemark.rejected.reason", ["too_old", "too_many_series"]),
    own("overflow", "tidemark.source", sources.slice(0, 2)),
    own("insert.failures", "db.collection.name", TABLES),
    ["process.cpu.time", "cpu.mode", ["user", "system"]],
    ["process.memory.usage", "", [""]],
    ["nodejs.eventloop.delay.max", "", [""]],
  ];
}

const HISTOGRAMS: readonly Own[] = [
  ["tidemark.ingest.insert.rows", "db.collection.name", TABLES],
  ["tidemark.ingest.insert.duration", "db.collection.name", TABLES],
  ["tidemark.ingest.acknowledge.duration", "", [""]],
  ["tidemark.ingest.sync.duration", "", [""]],
];

const quoted = (words: readonly string[]): string => `[${words.map((word) => `'${word}'`).join(", ")}]`;

/** Statements that fill a day of one ingest's own reports, with the series they belong to; `start` in milliseconds since 1970. */
export function ownStatements(start: number, sources: readonly string[]): string[] {
  const flat = (own: readonly Own[]) =>
    own.flatMap(([metric, attribute, values]) => values.map((value) => ({ metric, attribute, value })));
  const plain = flat(numbers(sources));
  const histograms = flat(HISTOGRAMS);
  const metricOf = (list: typeof plain): string => `${quoted(list.map(({ metric }) => metric))}[item + 1]`;
  const id = `cityHash64('${INSTANCE}', metric, item)`;
  const reports = (items: number): string =>
    `(SELECT number % ${items} AS item, fromUnixTimestamp64Milli(toInt64(${start} + intDiv(number, ${items}) * ${OWN_SECONDS * 1000} + 123), 'UTC') AS ts, cityHash64(number) AS h FROM numbers(${items * PER_DAY}))`;
  const series = (list: typeof plain, kind: string): string =>
    `INSERT INTO series (metric, service, series_id, runtime, instance, worker, environment, host, kind, temporality, monotonic, unit, description, resource, scope_name, scope_version, attributes, last_seen)
SELECT ${metricOf(list)} AS metric, 'tidemark-ingest' AS service, ${id} AS series_id, 'node' AS runtime, '${INSTANCE}' AS instance, '' AS worker, '' AS environment, 'host-0' AS host,
  '${kind}' AS kind, 'delta' AS temporality, false AS monotonic, '1' AS unit, '' AS description, map('service.name', service) AS resource, '' AS scope_name, '' AS scope_version,
  map(${quoted(list.map(({ attribute }) => attribute))}[item + 1], ${quoted(list.map(({ value }) => value))}[item + 1]) AS attributes, now() AS last_seen
FROM (SELECT number AS item FROM numbers(${list.length}))`;
  return [
    series(plain, "sum"),
    series(histograms, "histogram"),
    `INSERT INTO samples (metric, service, series_id, ts, m, e)
SELECT ${metricOf(plain)} AS metric, 'tidemark-ingest' AS service, ${id} AS series_id, ts, toInt64(if(metric LIKE '%.up', 1, h % 5000)) AS m, toInt8(if(metric LIKE '%age' OR metric LIKE '%time', -3, 0)) AS e
FROM ${reports(plain.length)}`,
    `INSERT INTO histograms (metric, service, series_id, ts, count, sum, min, max, bounds, buckets)
SELECT ${metricOf(histograms)} AS metric, 'tidemark-ingest' AS service, ${id} AS series_id, ts, arraySum(buckets) AS count, count * if(metric LIKE '%rows', 900., 0.02) AS sum, 0.001 AS min, 0.5 AS max,
  [${BOUNDS.join(", ")}] AS bounds, arrayMap(i -> toUInt64(bitAnd(bitShiftRight(h, i), 3)), range(${BOUNDS.length + 1})) AS buckets
FROM ${reports(histograms.length)}`,
  ];
}
