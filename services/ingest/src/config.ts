import { type Static, Type } from "typebox";
import { Check, Convert, Default, Errors } from "typebox/value";
import { BadConfig } from "./errors.ts";

const MIB = 1024 * 1024;

/** Settings of the ingest. Each names its environment variable in the title, its unit in the description. */
export const ConfigSchema = Type.Object(
  {
    host: Type.String({
      title: "TIDEMARK_OTLP_HOST",
      default: "127.0.0.1",
      minLength: 1,
      description: "Address to listen on",
    }),
    port: Type.Integer({
      title: "TIDEMARK_OTLP_PORT",
      default: 4318,
      minimum: 0,
      maximum: 65535,
      description: "Port to listen on; 0 for any free one",
    }),
    grpcPort: Type.Union([Type.Integer({ minimum: 0, maximum: 65535 }), Type.Literal("off")], {
      title: "TIDEMARK_OTLP_GRPC_PORT",
      default: 4317,
      description: "Port of OTLP/gRPC; 0 for any free one, off for none",
    }),
    clickhouseUrl: Type.String({
      title: "TIDEMARK_CLICKHOUSE_URL",
      default: "http://127.0.0.1:8123/tidemark",
      pattern: "^https?://",
      description: "http://user:password@host:port/database",
    }),
    dataDirectory: Type.String({
      title: "TIDEMARK_DATA_DIR",
      default: "data",
      minLength: 1,
      description: "The log is kept in <this>/log",
    }),
    token: Type.Optional(
      Type.String({
        title: "TIDEMARK_TOKEN",
        minLength: 8,
        description: "Bearer token that senders must show; required on a host that is not loopback",
      }),
    ),
    flushIntervalSeconds: Type.Number({
      title: "TIDEMARK_FLUSH_INTERVAL",
      default: 1,
      minimum: 0.01,
      maximum: 3600,
      description: "Longest time rows wait for an insert while ClickHouse keeps up, seconds",
    }),
    segmentRows: Type.Integer({
      title: "TIDEMARK_SEGMENT_ROWS",
      default: 500_000,
      minimum: 1,
      maximum: 1_000_000,
      description: "Rows after which a batch is closed",
    }),
    segmentBytes: Type.Integer({
      title: "TIDEMARK_SEGMENT_BYTES",
      default: 64 * MIB,
      minimum: 64 * 1024,
      maximum: 512 * MIB,
      description: "Bytes after which a batch is closed",
    }),
    logQuotaBytes: Type.Integer({
      title: "TIDEMARK_LOG_QUOTA_BYTES",
      default: 2048 * MIB,
      minimum: 1024,
      description: "Bytes the log may hold while ClickHouse is away",
    }),
    maxBodyBytes: Type.Integer({
      title: "TIDEMARK_MAX_BODY_BYTES",
      default: 20 * MIB,
      minimum: 1024,
      description: "Largest body as sent",
    }),
    maxDecompressedBytes: Type.Integer({
      title: "TIDEMARK_MAX_DECOMPRESSED_BYTES",
      default: 64 * MIB,
      minimum: 1024,
      description: "Largest body after decompression",
    }),
    maxReceivingBytes: Type.Integer({
      title: "TIDEMARK_MAX_RECEIVING_BYTES",
      default: 256 * MIB,
      minimum: 1024,
      description: "Bytes of all bodies in memory at once",
    }),
    maxAgeDays: Type.Number({
      title: "TIDEMARK_MAX_AGE_DAYS",
      default: 15,
      minimum: 0.01,
      maximum: 60,
      description: "Data older than this is rejected, days: at most the raw retention",
    }),
    denyAttributes: Type.Optional(
      Type.String({
        title: "TIDEMARK_DENY_ATTRIBUTES",
        description:
          "Comma list of attribute keys that are not stored, `*` for any text; `!` in front keeps one as it is that would be dropped or cleaned",
      }),
    ),
    maxSeries: Type.Integer({
      title: "TIDEMARK_MAX_SERIES",
      default: 200_000,
      minimum: 1,
      description: "Series remembered in memory",
    }),
    maxSeriesPerMetric: Type.Integer({
      title: "TIDEMARK_MAX_SERIES_PER_METRIC",
      default: 10_000,
      minimum: 1,
      description: "Live series of one metric of one service; more are folded into a marked one",
    }),
    maxSeriesPerService: Type.Integer({
      title: "TIDEMARK_MAX_SERIES_PER_SERVICE",
      default: 100_000,
      minimum: 1,
      description: "Live series of all metrics of one service; more are folded into marked ones",
    }),
    selfMetrics: Type.Union([Type.Literal("on"), Type.Literal("off")], {
      title: "TIDEMARK_SELF_METRICS",
      default: "on",
      description: "Whether the ingest stores metrics about itself, every 10 s",
    }),
    logLevel: Type.Union(
      [
        Type.Literal("fatal"),
        Type.Literal("error"),
        Type.Literal("warn"),
        Type.Literal("info"),
        Type.Literal("debug"),
        Type.Literal("silent"),
      ],
      { title: "TIDEMARK_LOG_LEVEL", default: "info", description: "Least severe line that is logged" },
    ),
  },
  { additionalProperties: false },
);
export type Config = Static<typeof ConfigSchema>;

const LOOPBACK = /^(127\.|::1$|localhost$)/;

/** Fills in defaults and checks. Throws BadConfig with a sentence that names the setting and its variable. */
export function completeConfig(given: Partial<Config>): Config {
  const config: unknown = Default(ConfigSchema, { ...given });
  return checked(config);
}

/** Reads the settings from environment variables. Throws BadConfig. */
export function configFromEnvironment(environment: Readonly<Record<string, string | undefined>>): Config {
  const given: Record<string, string> = {};
  for (const [name, schema] of Object.entries(ConfigSchema.properties)) {
    const value = environment[(schema as unknown as { title: string }).title];
    if (value !== undefined && value !== "") given[name] = value;
  }
  // Whoever takes any port for the one has no fixed place for the other.
  if (given.port === "0") given.grpcPort ??= "0";
  return checked(Default(ConfigSchema, Convert(ConfigSchema, given)));
}

/** The items of a comma list, without the spaces around them. */
export function commaList(text = ""): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function checked(config: unknown): Config {
  if (!Check(ConfigSchema, config)) {
    const [first] = Errors(ConfigSchema, config);
    const name = (first?.instancePath ?? "").slice(1).split("/")[0] ?? "";
    const property = (ConfigSchema.properties as Record<string, { title?: string }>)[name];
    throw new BadConfig(`${property?.title ?? name}: ${first?.message ?? "is not valid"}`);
  }
  if (!URL.canParse(config.clickhouseUrl)) throw new BadConfig("TIDEMARK_CLICKHOUSE_URL: is not a URL");
  if (config.token === undefined && !LOOPBACK.test(config.host)) {
    throw new BadConfig(
      `TIDEMARK_TOKEN: a token is required because TIDEMARK_OTLP_HOST is ${config.host}, which others can reach`,
    );
  }
  return config;
}
