import { readFileSync } from "node:fs";
import { SIGNALS, type Signal, type SignalOptions, samplerRatio, signalsOf } from "./otlp-options.ts";
import { FLUSH_SIGNALS, type FlushSignal } from "./processes/flush-signals.ts";

const MIN_INTERVAL_SECONDS = 0.1;
const MAX_INTERVAL_SECONDS = 300;

/** Settings of the agent, checked. Durations in seconds. */
export interface AgentOptions {
  /** Base URL of the OTLP/HTTP endpoint; `/v1/metrics` and so on are added. Default `http://127.0.0.1:4318`. */
  readonly endpoint: string;
  /** Bearer token, when the ingest wants one. */
  readonly token: string | undefined;
  /** Extra headers of each export. */
  readonly headers: Readonly<Record<string, string>>;
  /** Seconds until an export is given up, to be tried again. Default 10; from 0.1 to 300. */
  readonly timeoutSeconds: number;
  /** Whether metrics and events are compressed with gzip; traces are by OTEL_EXPORTER_OTLP_COMPRESSION. Default true. */
  readonly compress: boolean;
  /** What is different for one signal: its URL, used as it is, further headers, and the time-out. */
  readonly signals: Readonly<Partial<Record<Signal, SignalOptions>>>;
  /** Certificates, in PEM, of the authorities that an https endpoint is trusted by; by default those of Node.js. */
  readonly certificates: string | undefined;
  /** Seconds between two exports. Default 10; from 0.1 to 300. */
  readonly exportIntervalSeconds: number;
  /** Event-loop probes per second. Default 20; from 1 to 1000. */
  readonly loopProbesPerSecond: number;
  /** Thread-pool probes per second and lane. Default 10; from 1 to 1000. */
  readonly poolProbesPerSecond: number;
  /** Event loop blocked for longer than this many seconds: a stall. Default 0.1; 0 switches it off. */
  readonly stallThresholdSeconds: number;
  /** Whether a low-rate processor profile runs, which names native calls that block the loop. Default `off`. */
  readonly profile: "off" | "low";
  /** Whether the trace tier is on. Default true. */
  readonly traces: boolean;
  /** Share of ordinary traces that are kept; slow and failed ones are always kept. Default 0.01. */
  readonly traceRatio: number;
  /** Signals that are held up for the last export where the application does not listen for them. Default none. */
  readonly flushSignals: readonly FlushSignal[];
  /** Name of the service. Default `unknown_service:node`. */
  readonly serviceName: string;
  /** Further resource attributes. */
  readonly resourceAttributes: Readonly<Record<string, string>>;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Thrown by {@link readOptions} for a setting that cannot be used; the message names it and its value. */
export class OptionError extends TypeError {
  readonly code = "TDM_AGENT_OPTION";
}

/** Whether the environment switches the agent off. */
export function isDisabled(environment: Environment): boolean {
  return flag(environment.TIDEMARK_DISABLED) === true || flag(environment.OTEL_SDK_DISABLED) === true;
}

/**
 * Options from the environment, with explicit ones on top.
 *
 * @throws {OptionError} a value is out of its bounds or malformed.
 */
export function readOptions(environment: Environment, explicit: Partial<AgentOptions> = {}): AgentOptions {
  const attributes = keyValues(environment.OTEL_RESOURCE_ATTRIBUTES);
  const inSeconds = (name: string) => milliseconds(environment, name);
  const fromEnvironment: AgentOptions = {
    endpoint: environment.TIDEMARK_ENDPOINT || environment.OTEL_EXPORTER_OTLP_ENDPOINT || "http://127.0.0.1:4318",
    token: environment.TIDEMARK_TOKEN || undefined,
    headers: keyValues(environment.OTEL_EXPORTER_OTLP_HEADERS),
    timeoutSeconds: inSeconds("OTEL_EXPORTER_OTLP_TIMEOUT") ?? 10,
    compress: environment.OTEL_EXPORTER_OTLP_COMPRESSION !== "none",
    signals: explicit.endpoint === undefined ? signalsOf(environment, keyValues, inSeconds) : {},
    certificates: contents(environment, "OTEL_EXPORTER_OTLP_CERTIFICATE"),
    exportIntervalSeconds: numeric(
      environment,
      "TIDEMARK_EXPORT_INTERVAL",
      inSeconds("OTEL_METRIC_EXPORT_INTERVAL") ?? 10,
    ),
    loopProbesPerSecond: numeric(environment, "TIDEMARK_LOOP_PROBES", 20),
    poolProbesPerSecond: numeric(environment, "TIDEMARK_POOL_PROBES", 10),
    stallThresholdSeconds: numeric(environment, "TIDEMARK_STALL_THRESHOLD", 0.1),
    profile: (environment.TIDEMARK_PROFILE || "off") as AgentOptions["profile"],
    traces: flag(environment.TIDEMARK_TRACES) ?? environment.OTEL_TRACES_EXPORTER !== "none",
    traceRatio: traceRatio(environment),
    flushSignals: signals(environment.TIDEMARK_FLUSH_SIGNALS),
    serviceName: environment.OTEL_SERVICE_NAME || attributes["service.name"] || "unknown_service:node",
    resourceAttributes: attributes,
  };
  const options = { ...fromEnvironment, ...explicit };
  check(options);
  return options;
}

function check(options: AgentOptions): void {
  httpUrl("endpoint", options.endpoint);
  within("timeoutSeconds", options.timeoutSeconds, MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS);
  for (const signal of SIGNALS) {
    const { url, timeoutSeconds = options.timeoutSeconds } = options.signals[signal] ?? {};
    if (url !== undefined) httpUrl(`signals.${signal}.url`, url);
    within(`signals.${signal}.timeoutSeconds`, timeoutSeconds, MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS);
  }
  within("exportIntervalSeconds", options.exportIntervalSeconds, MIN_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS);
  within("loopProbesPerSecond", options.loopProbesPerSecond, 1, 1000);
  within("poolProbesPerSecond", options.poolProbesPerSecond, 1, 1000);
  if (!["off", "low"].includes(options.profile)) {
    throw new OptionError(`profile must be off or low, got ${JSON.stringify(options.profile)}`);
  }
  within("stallThresholdSeconds", options.stallThresholdSeconds, 0, 3600);
  within("traceRatio", options.traceRatio, 0, 1);
}

function httpUrl(name: string, text: string): void {
  const protocol = URL.canParse(text) ? new URL(text).protocol : "";
  if (protocol === "http:" || protocol === "https:") return;
  throw new OptionError(`${name} must be an http or https URL, got ${JSON.stringify(text)}`);
}

/** Ours, or else that of OpenTelemetry's sampler, where it is one that we have. */
function traceRatio(environment: Environment): number {
  const { OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: argument } = environment;
  const theirs = { OTEL_TRACES_SAMPLER_ARG: samplerRatio(sampler, argument) };
  return numeric(environment, "TIDEMARK_TRACE_RATIO", numeric(theirs, "OTEL_TRACES_SAMPLER_ARG", 0.01));
}

/** A variable in milliseconds, as seconds. */
function milliseconds(environment: Environment, name: string): number | undefined {
  const value = numeric(environment, name, Number.NEGATIVE_INFINITY);
  return value === Number.NEGATIVE_INFINITY ? undefined : value / 1000;
}

function within(name: string, value: number, minimum: number, maximum: number): void {
  if (!(value >= minimum && value <= maximum)) {
    throw new OptionError(`${name} must be a number from ${minimum} to ${maximum}, got ${value}`);
  }
}

function numeric(environment: Environment, name: string, fallback: number): number {
  const text = environment[name];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (Number.isNaN(value)) throw new OptionError(`${name} must be a number, got ${JSON.stringify(text)}`);
  return value;
}

function contents(environment: Environment, name: string): string | undefined {
  const path = environment[name];
  if (path === undefined || path === "") return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new OptionError(`${name} must name a file that can be read: ${(error as Error).message}`);
  }
}

function signals(text: string | undefined): FlushSignal[] {
  const names = (text ?? "").split(",").map((name) => name.trim());
  return names
    .filter((name) => name !== "")
    .map((name) => {
      const known = FLUSH_SIGNALS.find((signal) => signal === name);
      if (known !== undefined) return known;
      throw new OptionError(`TIDEMARK_FLUSH_SIGNALS must name some of ${FLUSH_SIGNALS}, got ${JSON.stringify(name)}`);
    });
}

function flag(text: string | undefined): boolean | undefined {
  if (text === undefined || text === "") return undefined;
  return !["0", "false", "no", "off"].includes(text.toLowerCase());
}

/** `a=1,b=2` with percent-encoded values. Source: OpenTelemetry specification, OTEL_RESOURCE_ATTRIBUTES. */
function keyValues(text: string | undefined): Record<string, string> {
  const result: Record<string, string> = {};
  for (const pair of (text ?? "").split(",")) {
    const at = pair.indexOf("=");
    if (at <= 0) continue;
    const value = pair.slice(at + 1).trim();
    try {
      result[pair.slice(0, at).trim()] = decodeURIComponent(value);
    } catch {
      result[pair.slice(0, at).trim()] = value;
    }
  }
  return result;
}
