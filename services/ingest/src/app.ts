import type { RequestListener } from "node:http";
import Fastify, { type FastifyInstance, type FastifyServerFactory, LogController } from "fastify";
import { type Config, commaList, completeConfig } from "./config.ts";
import { OtlpGrpc } from "./grpc/server.ts";
import { HeldBytes } from "./held-bytes.ts";
import { DurableLog } from "./log/durable-log.ts";
import { logDirectory } from "./log/files.ts";
import { RequestDigest } from "./log/request-digest.ts";
import { Retries } from "./log/retries.ts";
import { exportReply } from "./otlp/reply.ts";
import body from "./plugins/body.ts";
import errorReplies, { answerBadHttp, answerBadUrl } from "./plugins/error-replies.ts";
import telemetryPlugin, { Telemetry } from "./plugins/telemetry.ts";
import { Receiver } from "./receive.ts";
import healthRoutes from "./routes/health.ts";
import otlpRoutes from "./routes/otlp.ts";
import { Decoder } from "./rows/decoder.ts";
import { Reload } from "./security/reload.ts";
import { secureServer } from "./security/secure-server.ts";
import slowSenders, { ConnectionsPerAddress } from "./security/slow-senders.ts";
import { Sources } from "./security/sources.ts";
import { TlsFiles } from "./security/tls-files.ts";
import { instanceId } from "./self/instance-id.ts";
import { OwnReports } from "./self/own-reports.ts";
import { BatchWriter } from "./writer/batch-writer.ts";
import { ClickHouse } from "./writer/clickhouse.ts";
import { Reach } from "./writer/reach.ts";

const MS_PER_S = 1000;
const KEEP_ALIVE_MS = 65_000;
const MAX_CHECK_MS = 1_000;
const KEEP_DONE_MS = 60_000;
/** What of the five seconds after SIGTERM the last inserts may take. */
const DRAIN_MS = 2_500;
const DRAIN_POLL_MS = 20;
/** What of it calls over gRPC may take that have begun. */
const GRPC_DRAIN_MS = 1_000;

declare module "fastify" {
  interface FastifyInstance {
    /** OTLP/gRPC: it has a port of its own, and is closed with the app. */
    grpc: OtlpGrpc;
    /** Reads tokens and certificates again. Never throws: what cannot be used is logged, and what was known stays. */
    reload: () => Promise<void>;
  }
}

/** What a caller may replace, for tests. */
export interface Replacements {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** A request that takes longer to arrive is refused. */
  readonly receiveTimeoutMs?: number;
  /** Milliseconds between two reports of the ingest about itself. */
  readonly ownReportMs?: number;
  /** Milliseconds between two looks at the files of tokens and certificates. */
  readonly reloadIntervalMs?: number;
}

/**
 * The ingest without a port: `inject` works at once, `listen` and `grpc.listen` open its ports, `close` writes and
 * inserts what it has taken.
 * Throws BadConfig, LogLocked or LogDirectory.
 */
export async function buildApp(
  given: Partial<Config>,
  { now = Date.now, ownReportMs, reloadIntervalMs, ...replaced }: Replacements = {},
): Promise<FastifyInstance> {
  const config = completeConfig(given);
  const receiveTimeoutMs = replaced.receiveTimeoutMs ?? config.bodyTimeoutSeconds * MS_PER_S;
  const tls = await tlsOf(config);
  const sources = new Sources({
    token: config.token,
    file: config.tokensFile,
    limits: {
      ...(config.maxRequestsPerSecond && { requestsPerSecond: config.maxRequestsPerSecond }),
      ...(config.maxBytesPerSecond && { bytesPerSecond: config.maxBytesPerSecond }),
      concurrentRequests: config.maxConcurrentRequests,
    },
    maxBodyBytes: config.maxBodyBytes,
    maxReceivingBytes: config.maxReceivingBytes,
    now,
  });
  await sources.load();
  const headerTimeoutMs = Math.min(config.headerTimeoutSeconds * MS_PER_S, receiveTimeoutMs);
  const timeouts = {
    headersTimeout: headerTimeoutMs,
    requestTimeout: receiveTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: Math.min(MAX_CHECK_MS, headerTimeoutMs / 2),
  };
  const serverFactory: FastifyServerFactory | undefined =
    tls && ((handler) => secureServer(tls, timeouts, handler as RequestListener));
  const app = Fastify({
    logger: config.logLevel === "silent" ? false : { name: "tidemark-ingest", level: config.logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: config.maxBodyBytes,
    requestTimeout: receiveTimeoutMs,
    // Ours says when to come back, and says it in OTLP.
    return503OnClosing: false,
    clientErrorHandler: answerBadHttp,
    frameworkErrors: answerBadUrl,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: timeouts,
    ...(serverFactory && { serverFactory }),
    forceCloseConnections: "idle",
  });
  const directory = logDirectory(config.dataDirectory);
  const report = (event: string, details: Record<string, unknown>) =>
    app.log.warn({ event, ...details }, "the log needs attention");
  const log = await DurableLog.open({
    directory,
    segmentRows: config.segmentRows,
    segmentBytes: config.segmentBytes,
    quotaBytes: config.logQuotaBytes,
    keepDoneMs: KEEP_DONE_MS,
    now,
    report,
    synced: (seconds) => telemetry.syncSeconds.observe(seconds),
  });
  const decoder = new Decoder({
    retentionDays: config.maxAgeDays,
    maxSeries: config.maxSeries,
    limits: { perMetric: config.maxSeriesPerMetric, perService: config.maxSeriesPerService },
    denyAttributes: commaList(config.denyAttributes),
    now,
  });
  const digest = await RequestDigest.open(directory, report);
  const retries = new Retries(now);
  for (const digest of log.recovered)
    retries.remember(digest, Promise.resolve(exportReply("metrics", "protobuf", 0, "")));

  const clickhouse = new ClickHouse(config.clickhouseUrl);
  const writer = new BatchWriter(log, clickhouse, {
    inserted: (table, rows, _points, seconds) => {
      telemetry.insertedRows.inc({ table }, rows);
      telemetry.insertSeconds.observe({ table }, seconds);
      telemetry.insertRows.observe({ table }, rows);
    },
    failed: (table, error, attempt, delayMs) => {
      telemetry.insertFailures.inc({ table });
      app.log.warn({ table, attempt, delayMs, error: error.message }, "insert failed, will be tried again");
    },
    setAside: (table, error, points, path) => {
      telemetry.setAside.inc({ table }, points);
      app.log.error({ table, points, path, error: error.message }, "ClickHouse refuses these rows, they are set aside");
    },
    recovered: () => {
      // The database may have come back without what it had: say again what every series is.
      decoder.rewriteSeries();
      app.log.info("ClickHouse takes inserts again");
    },
  });
  const heldBytes = new HeldBytes(config.maxReceivingBytes);
  const telemetry = new Telemetry({
    log,
    series: () => decoder.series,
    liveSeries: () => decoder.liveSeries,
    idCollisions: () => decoder.idCollisions,
    receivingBytes: () => heldBytes.bytes,
    clickhouseHealthy: () => reach.state === "ok" && writer.healthy,
    now,
  });
  const reach = new Reach(clickhouse, (state, reason) => {
    if (state === "ok") app.log.info("ClickHouse is reached and has its tables");
    else app.log.warn({ clickhouse: state, reason }, "ClickHouse does not take data, it is kept in the log");
  });

  let stopping = false;
  await app.register(telemetryPlugin, { telemetry });
  await app.register(errorReplies);
  const receiver = new Receiver({
    log,
    digest,
    decoder,
    retries,
    telemetry,
    sources,
    stopping: () => stopping,
  });
  const connections = new ConnectionsPerAddress(config.maxConnectionsPerAddress, () =>
    telemetry.connectionsRefused.inc(),
  );
  connections.watch(app.server);
  const reload = new Reload({
    sources,
    tokensFile: config.tokensFile,
    tls,
    log: app.log,
    now,
    failed: (file) => telemetry.reloadFailures.inc({ file }),
  });
  reload.watch(reloadIntervalMs);
  app.decorate("reload", () => reload.all());
  app.addHook("onClose", async () => reload.stop());
  await app.register(slowSenders, {
    minBytesPerSecond: config.minBodyBytesPerSecond,
    graceMs: headerTimeoutMs,
    sweepMs: Math.min(MAX_CHECK_MS, headerTimeoutMs / 2),
  });
  await app.register(body, { ...config, heldBytes });
  await app.register(otlpRoutes, { receiver });
  const { maxDecompressedBytes } = config;
  const grpc = new OtlpGrpc({
    receiver,
    heldBytes,
    telemetry,
    log: app.log,
    tls,
    connections,
    maxDecompressedBytes,
    receiveTimeoutMs,
  });
  app.decorate("grpc", grpc);
  await app.register(healthRoutes, {
    log,
    clickhouse: () => reach.state,
    inserting: () => writer.healthy,
    stopping: () => stopping,
    checkToken: (authorization) => sources.check(authorization),
  });

  const own = new OwnReports({
    log,
    decoder,
    telemetry,
    instance: await instanceId(config.dataDirectory),
    now,
    intervalMs: ownReportMs,
  });
  if (config.selfMetrics === "on") own.start();
  reach.start();
  writer.start();
  const flush = setInterval(() => {
    // While the writer is behind, the open segment grows: fewer, larger inserts catch up faster.
    if (log.closedSegments === 0) void log.closeSegment();
  }, config.flushIntervalSeconds * MS_PER_S);

  app.addHook("preClose", async () => {
    stopping = true;
    await grpc.close(GRPC_DRAIN_MS);
  });
  app.addHook("onClose", async () => {
    clearInterval(flush);
    await own.stop();
    reach.stop();
    await log.stop();
    const deadline = performance.now() + DRAIN_MS;
    while (log.closedSegments > 0 && writer.healthy && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
    await writer.stop();
    await clickhouse.close();
    await log.close();
  });
  return app;
}

async function tlsOf({ tlsCertFile, tlsKeyFile, tlsClientCaFile }: Config): Promise<TlsFiles | undefined> {
  if (tlsCertFile === undefined || tlsKeyFile === undefined) return undefined;
  return TlsFiles.open({ certificate: tlsCertFile, key: tlsKeyFile, clientCa: tlsClientCaFile });
}
