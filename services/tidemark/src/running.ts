import { join } from "node:path";
import { createStoreClient, migrate } from "@tidemark/store";
import { assertFree, type WantedPort } from "./ports.ts";
import { isLoopback, prepareDataDir, type Settings, writerPassword } from "./settings.ts";
import { alertsSpec, engineSpec, ingestSpec, type Urls, urls, viewerSpec, withoutPassword } from "./stack.ts";
import { Supervisor } from "./supervisor.ts";

/** A Tidemark that runs: its addresses and the processes behind them. */
export interface Running {
  readonly urls: Urls;
  readonly supervisor: Supervisor;
}

export interface StartOptions {
  readonly viewer: boolean;
  readonly alerts: boolean;
  readonly env: NodeJS.ProcessEnv;
  /** One line for the user about something that happened. */
  readonly report: (line: string) => void;
  /** Aborting stops what has started and makes the start fail. */
  readonly signal?: AbortSignal;
}

/** The ports a start with these settings needs. */
export function wantedPorts(settings: Settings, { viewer = true, alerts = true } = {}): WantedPort[] {
  const wanted: WantedPort[] = [
    { service: "OTLP ingest", port: settings.otlpPort, variable: "TIDEMARK_OTLP_PORT", flag: "--otlp-port" },
  ];
  if (settings.otlpGrpcPort !== "off")
    wanted.push({
      service: "OTLP over gRPC",
      port: settings.otlpGrpcPort,
      variable: "TIDEMARK_OTLP_GRPC_PORT",
      flag: "--otlp-grpc-port",
    });
  if (!settings.clickhouseUrl) {
    wanted.push({
      service: "embedded ClickHouse",
      port: settings.clickhousePort,
      variable: "TIDEMARK_CLICKHOUSE_PORT",
      flag: "--clickhouse-port",
    });
  }
  if (viewer)
    wanted.push({
      service: "viewer",
      port: settings.viewerPort,
      variable: "TIDEMARK_VIEWER_PORT",
      flag: "--viewer-port",
    });
  if (alerts)
    wanted.push({
      service: "alerts",
      port: settings.alertsPort,
      variable: "TIDEMARK_ALERTS_PORT",
      flag: "--alerts-port",
    });
  return wanted;
}

/**
 * Starts engine (unless a ClickHouse URL is given), ingest, viewer and alerts, and brings the tables up to date.
 * The ingest comes up beside the engine: it takes data at once and stores it when ClickHouse answers.
 *
 * @throws UsageError where a port is taken or the data directory can't be written; Error where a process does not start.
 */
export async function startTidemark(settings: Settings, options: StartOptions): Promise<Running> {
  prepareDataDir(settings.dataDir);
  await assertFree(wantedPorts(settings, options), isLoopback(settings.host) ? settings.host : "0.0.0.0");
  const password = settings.clickhouseUrl ? "" : writerPassword(settings.dataDir);
  const addresses = urls(settings, password);
  const supervisor = new Supervisor(join(settings.dataDir, "logs"), options.report);
  options.signal?.addEventListener("abort", () => void supervisor.stop());
  try {
    const engine = settings.clickhouseUrl ? undefined : engineSpec(settings, password, options.env);
    await Promise.all([
      (engine ? supervisor.start(engine) : Promise.resolve()).then(() =>
        migrateOrExplain(addresses, settings, options),
      ),
      supervisor.start(ingestSpec(settings, addresses, options.env)),
      options.viewer ? supervisor.start(viewerSpec(settings, addresses, options.env)) : undefined,
      options.alerts ? supervisor.start(alertsSpec(settings, addresses, options.env)) : undefined,
    ]);
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
  return { urls: addresses, supervisor };
}

/** A ClickHouse server that is away at the start is no reason to refuse data: the ingest keeps it, the tables are made later. */
async function migrateOrExplain(addresses: Urls, settings: Settings, options: StartOptions): Promise<void> {
  try {
    await migrate(addresses.clickhouseWriter, { cluster: clusterOf(settings, options.env) });
  } catch (error) {
    if (!settings.clickhouseUrl || !isConnectionError(error)) throw error;
    options.report(
      `ClickHouse at ${withoutPassword(settings.clickhouseUrl)} does not answer yet (${(error as Error).message}). ` +
        "Data is accepted and kept; the tables are made as soon as it answers.",
    );
    void migrateLater(addresses, settings, options);
  }
}

const MIGRATE_RETRY_MS = 5_000;

/** The embedded engine is never part of a cluster. */
function clusterOf({ clickhouseUrl }: Settings, env: NodeJS.ProcessEnv): string | undefined {
  return clickhouseUrl === undefined ? undefined : env.TIDEMARK_CLICKHOUSE_CLUSTER || undefined;
}

async function migrateLater(addresses: Urls, settings: Settings, { report, env }: StartOptions): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, MIGRATE_RETRY_MS).unref());
    try {
      await migrate(addresses.clickhouseWriter, { cluster: clusterOf(settings, env) });
      report("ClickHouse answers; the tables are up to date.");
      return;
    } catch (error) {
      if (!isConnectionError(error)) {
        report(`The tables could not be made: ${(error as Error).message}`);
        return;
      }
    }
  }
}

const CONNECTION_CODES = new Set(["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EHOSTUNREACH", "ETIMEDOUT", "EAI_AGAIN"]);

/** True where ClickHouse could not be reached, false where it answered with an error. */
export function isConnectionError(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code && CONNECTION_CODES.has(code)) return true;
    if (/timeout|socket hang up/i.test(cause.message)) return true;
  }
  return false;
}

/** A read-only client for the summary and the doctor. */
export function readerClient(addresses: Urls): ReturnType<typeof createStoreClient> {
  return createStoreClient(addresses.clickhouseReader, { readOnly: true });
}
