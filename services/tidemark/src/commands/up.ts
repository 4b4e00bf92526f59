import { type Running, startTidemark } from "../running.ts";
import { readSettings, type SettingsFlags } from "../settings.ts";
import { aborted, abortOnSignal, bold, say, table } from "../terminal.ts";

export interface UpFlags extends SettingsFlags {
  viewer: boolean;
  alerts: boolean;
}

/** `tidemark up`: runs the service until it is told to stop. */
export async function up(flags: UpFlags): Promise<void> {
  const settings = readSettings(flags, process.env);
  const signal = abortOnSignal();
  say("Starting Tidemark ...");
  let running: Running;
  try {
    running = await startTidemark(settings, { ...flags, env: process.env, report: say, signal });
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
  const { urls, supervisor } = running;
  say("");
  say(
    table([
      ["Send OTLP to", bold(urls.otlp), "agents: TIDEMARK_ENDPOINT, any SDK: OTEL_EXPORTER_OTLP_ENDPOINT"],
      ...(urls.otlpGrpc ? [["or by gRPC to", bold(urls.otlpGrpc), "any SDK: OTEL_EXPORTER_OTLP_PROTOCOL=grpc"]] : []),
      ...(flags.viewer ? [["See it at", bold(urls.viewer), "dashboards, slow requests, firing alerts"]] : []),
      ["Query it at", bold(urls.clickhouse), "ClickHouse HTTP interface, user 'reader'; Grafana: infra/grafana"],
      ["Data in", settings.dataDir, "logs in logs/"],
    ]),
  );
  say("\nStop with Ctrl-C. `npx tidemark doctor` checks that your agents report.");
  await aborted(signal);
  say("\nStopping ...");
  await supervisor.stop();
}
