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
    tokensFile: Type.Optional(
      Type.String({
        title: "TIDEMARK_TOKENS_FILE",
        minLength: 1,
        description: "Tokens per source, hashed, made by `tidemark token create`; read again when it changes",
      }),
    ),
    maxRequestsPerSecond: Type.Optional(
      Type.Number({
        title: "TIDEMARK_MAX_REQUESTS_PER_SECOND",
        exclusiveMinimum: 0,
        description: "Requests of one source per second, unless its token says otherwise; then 429",
      }),
    ),
    maxBytesPerSecond: Type.Optional(
      Type.Number({
        title: "TIDEMARK_MAX_BYTES_PER_SECOND",
        exclusiveMinimum: 0,
        description: "Bytes of bodies as sent, of one source per second, unless its token says otherwise; then 429",
      }),
    ),
    maxConcurrentRequests: Type.Integer({
      title: "TIDEMARK_MAX_CONCURRENT_REQUESTS",
      default: 256,
      minimum: 1,
      description: "Requests of one source at once, unless its token says otherwise; then 429",
    }),
    tlsCertFile: Type.Optional(
      Type.String({
        title: "TIDEMARK_TLS_CERT_FILE",
        minLength: 1,
        description: "PEM certificate chain: both OTLP ports speak TLS with it; read again when it changes",
      }),
    ),
    tlsKeyFile: Type.Optional(
      Type.String({ title: "TIDEMARK_TLS_KEY_FILE", minLength: 1, description: "PEM private key of the certificate" }),
    ),
    tlsClientCaFile: Type.Optional(
      Type.String({
        title: "TIDEMARK_TLS_CLIENT_CA_FILE",
        minLength: 1,
        description: "PEM certificates of who must have signed a sender's certificate (mutual TLS)",
      }),
    ),
    headerTimeoutSeconds: Type.Number({
      title: "TIDEMARK_HEADER_TIMEOUT",
      default: 10,
      minimum: 0.1,
      maximum: 600,
      description: "Longest time for a request's headers or a TLS handshake, seconds",
    }),
    bodyTimeoutSeconds: Type.Number({
      title: "TIDEMARK_BODY_TIMEOUT",
      default: 60,
      minimum: 0.1,
      maximum: 3600,
      description: "Longest time for a whole request to arrive, seconds",
    }),
    minBodyBytesPerSecond: Type.Integer({
      title: "TIDEMARK_MIN_BODY_BYTES_PER_SECOND",
      default: 512,
      minimum: 0,
      description: "Least rate at which a body must arrive, after the time for headers is over once more; 0 for any",
    }),
    maxConnectionsPerAddress: Type.Integer({
      title: "TIDEMARK_MAX_CONNECTIONS_PER_ADDRESS",
      default: 512,
      minimum: 1,
      description: "Connections of one address that is not loopback; further ones are closed",
    }),
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

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return /^(127\.|::1$|::ffff:127\.|localhost$)/.test(host);
}

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
  if (config.token === undefined && config.tokensFile === undefined && !isLoopback(config.host)) {
    throw new BadConfig(
      `TIDEMARK_TOKEN: a token is required because TIDEMARK_OTLP_HOST is ${config.host}, which others can reach (or TIDEMARK_TOKENS_FILE)`,
    );
  }
  if ((config.tlsCertFile === undefined) !== (config.tlsKeyFile === undefined)) {
    throw new BadConfig("TIDEMARK_TLS_CERT_FILE: needs TIDEMARK_TLS_KEY_FILE, and the other way round");
  }
  if (config.tlsClientCaFile !== undefined && config.tlsCertFile === undefined) {
    throw new BadConfig("TIDEMARK_TLS_CLIENT_CA_FILE: needs TIDEMARK_TLS_CERT_FILE and TIDEMARK_TLS_KEY_FILE");
  }
  return config;
}
