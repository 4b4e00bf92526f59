import type { AgentOptions, Environment } from "./options.ts";

export const SIGNALS = ["metrics", "traces", "logs"] as const;
export type Signal = (typeof SIGNALS)[number];

const MS_PER_S = 1000;

/** What is different for one signal. */
export interface SignalOptions {
  /** URL, used as it is: nothing is added to it. */
  readonly url?: string;
  /** Headers beside and over those of all signals. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Seconds until an export is given up. */
  readonly timeoutSeconds?: number;
}

/** Where the exports of one signal go. */
export interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export function targetOf(options: AgentOptions, signal: Signal): Target {
  const { url, headers, timeoutSeconds } = options.signals[signal] ?? {};
  return {
    url: url ?? `${options.endpoint.replace(/\/+$/, "")}/v1/${signal}`,
    headers: {
      ...options.headers,
      ...headers,
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
    },
    timeoutMs: (timeoutSeconds ?? options.timeoutSeconds) * MS_PER_S,
  };
}

/**
 * The variables that OpenTelemetry has for one signal. With an endpoint of ours their endpoints do not count.
 * Source: OpenTelemetry specification, OTLP exporter configuration; its times are milliseconds.
 */
export function signalsOf(
  environment: Environment,
  keyValues: (text: string | undefined) => Record<string, string>,
  seconds: (name: string) => number | undefined,
): Partial<Record<Signal, SignalOptions>> {
  const signals: Partial<Record<Signal, SignalOptions>> = {};
  for (const signal of SIGNALS) {
    const prefix = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}`;
    const url = environment.TIDEMARK_ENDPOINT ? undefined : environment[`${prefix}_ENDPOINT`] || undefined;
    const timeoutSeconds = seconds(`${prefix}_TIMEOUT`);
    const headers = keyValues(environment[`${prefix}_HEADERS`]);
    signals[signal] = {
      headers,
      ...(url === undefined ? {} : { url }),
      ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    };
  }
  return signals;
}

/** The share of ordinary traces that OpenTelemetry's sampler of that name keeps; undefined for one that we do not have. */
export function samplerRatio(name: string | undefined, argument: string | undefined): string | undefined {
  switch (name?.replace(/^parentbased_/, "")) {
    case "always_on":
      return "1";
    case "always_off":
      return "0";
    case "traceidratio":
      return argument || "1";
    default:
      return undefined;
  }
}
