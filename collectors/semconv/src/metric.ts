/** How a metric is aggregated, in OpenTelemetry's words. Histograms of both kinds are sent with delta temporality. */
export type Instrument = "gauge" | "counter" | "updowncounter" | "histogram" | "exponential_histogram";

/** The agents, and the ingest speaking about itself. */
export type Runtime = "node" | "django" | "ingest";

/** One metric of the registry. Attributes and units are those of OpenTelemetry wherever it has the metric. */
export interface Metric {
  readonly name: string;
  readonly instrument: Instrument;
  /** UCUM, as OpenTelemetry writes it: `s`, `By`, `1`, `{thread}`. */
  readonly unit: string;
  /** Attributes a point may carry; identity lives on the resource. */
  readonly attributes: readonly string[];
  /** Who emits it. */
  readonly runtimes: readonly Runtime[];
  readonly brief: string;
  /** Where the number comes from, or the document that defines the name. */
  readonly source: string;
}

/** One attribute of the registry. */
export interface Attribute {
  readonly name: string;
  readonly type: "string" | "int" | "double" | "boolean";
  readonly brief: string;
  /** The values it may have, where the set is closed. */
  readonly values?: readonly string[];
}

/** One event (OTLP log record with an `event_name`). */
export interface Event {
  readonly name: string;
  readonly attributes: readonly string[];
  readonly runtimes: readonly Runtime[];
  readonly brief: string;
}
