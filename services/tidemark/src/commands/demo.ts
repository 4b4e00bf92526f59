import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startPostgres } from "@tidemark/lab";
import { startLab } from "../demo/lab.ts";
import { printSummary, type Summary, summarise } from "../demo/summary.ts";
import { freeInstead } from "../ports.ts";
import { type Running, readerClient, startTidemark } from "../running.ts";
import { readSettings, type Settings, type SettingsFlags, UsageError } from "../settings.ts";
import { aborted, abortOnSignal, bold, say, table } from "../terminal.ts";

const DASHBOARD = "tidemark-compare";
const POLL_MS = 250;
/** Shorter than the default of 10 s, so that the picture moves; the agents' cost is measured at the default. */
const EXPORT_INTERVAL_S = 2;
const ALERTS_INTERVAL_S = 2;
const MIN_DURATION_S = 35;

export interface DemoFlags extends SettingsFlags {
  headless?: boolean;
  duration?: string;
  json?: boolean;
  keep?: boolean;
}

/** `tidemark demo`: the whole product with both demo services under load, until Ctrl-C or for `--duration` seconds. */
export async function demo(flags: DemoFlags): Promise<void> {
  const startedAt = performance.now();
  const durationSeconds = readDuration(flags);
  const signal = abortOnSignal();
  const dataDir = flags.dataDir ?? process.env.TIDEMARK_DATA_DIR ?? mkdtempSync(join(tmpdir(), "tidemark-demo-"));
  const temporary = flags.dataDir === undefined && process.env.TIDEMARK_DATA_DIR === undefined && !flags.keep;
  const settings = await onFreePorts(readSettings({ ...flags, dataDir }, process.env));
  say(
    "Starting ClickHouse (embedded), the ingest, the viewer and the alerts; PostgreSQL, a Django and a Node service ...",
  );
  const env = {
    ...process.env,
    TIDEMARK_TOKENS_FILE: "",
    TIDEMARK_TLS_CERT_FILE: "",
    TIDEMARK_TLS_KEY_FILE: "",
    TIDEMARK_TLS_CLIENT_CA_FILE: "",
    TIDEMARK_ALERTS_INTERVAL: `${ALERTS_INTERVAL_S}`,
    TIDEMARK_ALERTS_PROFILE: "demo",
  };
  const starting = startTidemark(settings, { viewer: true, alerts: true, env, report: say, signal });
  const startingPostgres = startPostgres({ url: process.env.TIDEMARK_DEMO_POSTGRES_URL || undefined });
  try {
    const started = await unlessAborted(Promise.all([starting, startingPostgres]), signal);
    if (!started) return;
    const [running, postgres] = started;
    const lab = await unlessAborted(
      startLab({ running, settings, postgres, exportIntervalSeconds: EXPORT_INTERVAL_S, env: process.env }),
      signal,
    );
    if (!lab) return;
    const load = lab.play(durationSeconds);
    // A failing load must not go unnoticed while we wait for something else.
    load.catch(() => undefined);
    const readySeconds = await Promise.race([untilCompared(running, startedAt, signal), load.then(() => Number.NaN)]);
    if (!signal.aborted) announce(running, readySeconds, lab.addresses);
    if (!flags.headless && !signal.aborted) openBrowser(`${running.urls.viewer}/d/${DASHBOARD}`);
    await Promise.race([load, aborted(signal)]);
    if (durationSeconds !== undefined && !signal.aborted) {
      await lab.silence();
      const summary: Summary = await summarise(running, readySeconds);
      printSummary(summary);
      if (flags.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
    }
  } finally {
    say("\nStopping ...");
    // Whatever has started by now, or still does, is stopped; what failed to start said why already.
    await Promise.all([
      starting.then(({ supervisor }) => supervisor.stop(), ignore),
      startingPostgres.then((postgres) => postgres.stop(), ignore),
    ]);
    if (temporary) rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
    else say(`The data is in ${dataDir}.`);
  }
}

function readDuration(flags: DemoFlags): number | undefined {
  if (flags.duration === undefined) {
    if (flags.json) throw new UsageError("--json needs --duration: without it the demo has no end and no summary.");
    return undefined;
  }
  const seconds = Number(flags.duration);
  if (!Number.isFinite(seconds) || seconds < MIN_DURATION_S) {
    throw new UsageError(
      `--duration ${flags.duration}: the story's seven phases need at least ${MIN_DURATION_S} seconds.`,
    );
  }
  return seconds;
}

/** The demo is for looking: a taken port is no reason to stop, it takes another and says so. */
async function onFreePorts(settings: Settings): Promise<Settings> {
  const { otlpGrpcPort } = settings;
  const wanted = [settings.otlpPort, settings.clickhousePort, settings.viewerPort, settings.alertsPort];
  if (otlpGrpcPort !== "off" && otlpGrpcPort !== 0) wanted.push(otlpGrpcPort);
  const chosen = await freeInstead(wanted, "127.0.0.1");
  const [otlpPort = 0, clickhousePort = 0, viewerPort = 0, alertsPort = 0, grpcPort = otlpGrpcPort] = chosen;
  wanted.forEach((port, index) => {
    if (port !== chosen[index]) say(`Port ${port} is taken; using ${chosen[index]}.`);
  });
  // What it starts talks plain HTTP to itself, whatever the environment says of the user's own service.
  const plain = { tls: false, tokensFile: undefined };
  return {
    ...settings,
    ...plain,
    host: "127.0.0.1",
    otlpPort,
    otlpGrpcPort: grpcPort,
    clickhousePort,
    viewerPort,
    alertsPort,
  };
}

/** What the promise gives, or undefined where the signal aborts before. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  promise.catch(ignore);
  const result = await Promise.race([promise, aborted(signal)]);
  return signal.aborted ? undefined : (result as T);
}

function ignore(): void {}

/** Seconds from the start of the command until both runtimes have requests and saturation in ClickHouse. */
async function untilCompared(running: Running, startedAt: number, signal: AbortSignal): Promise<number> {
  const client = readerClient(running.urls);
  const query = `SELECT uniqExact(runtime) AS n FROM http_requests WHERE runtime IN ('node', 'django')
    AND runtime IN (SELECT runtime FROM saturation WHERE wait_count > 0)`;
  try {
    while (!signal.aborted) {
      const rows = await (await client.query({ query, format: "JSONEachRow" })).json<{ n: string }>();
      if (Number(rows[0]?.n) === 2) break;
      await delay(POLL_MS);
    }
  } finally {
    await client.close();
  }
  return (performance.now() - startedAt) / 1000;
}

function announce({ urls }: Running, readySeconds: number, services: Readonly<Record<string, string>>): void {
  say(`\nReady after ${readySeconds.toFixed(1)} s: both services report.\n`);
  const rows = [["Comparison", bold(`${urls.viewer}/d/${DASHBOARD}`)]];
  for (const [name, url] of Object.entries(services)) rows.push([name, url]);
  rows.push(["ClickHouse", `${urls.clickhouse}  (user 'reader', database 'tidemark')`], ["OTLP", urls.otlp]);
  say(table(rows));
  say("\nThe load plays a story of seven phases; they are marked on every chart. Stop with Ctrl-C.\n");
}

function openBrowser(url: string): void {
  const command = process.platform === "darwin" ? "open" : process.platform === "win32" ? "explorer" : "xdg-open";
  const child = spawn(command, [url], { stdio: "ignore", detached: true });
  child.once("error", () => say(`Open ${url} in a browser.`));
  child.unref();
}
