import { configFromEnvironment, type ProcessConfig } from "./config.ts";
import { type Alerts, buildAlerts } from "./index.ts";

/** A stop takes well under this; past it the process ends with what is already on disk. */
const STOP_LIMIT_MS = 4500;

try {
  const config = configFromEnvironment(process.env);
  await run(buildAlerts(config), config);
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}

async function run(alerts: Alerts, { host, port, profile, intervalS }: ProcessConfig): Promise<void> {
  const { app } = alerts;
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      app.log.info({ signal }, "alerts stopping");
      setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref();
      alerts.stop().then(
        () => process.exit(0),
        (error) => fail(`alerts did not stop cleanly: ${error}`),
      );
    });
  }
  try {
    const url = await app.listen({ host, port });
    app.log.info({ url, profile, intervalS }, "alerts ready");
  } catch (error) {
    const taken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    fail(
      taken
        ? `Port ${port} on ${host} is taken: stop what listens there, or set TIDEMARK_ALERTS_PORT to another port.`
        : `Cannot listen on ${host}:${port}: ${(error as Error).message}`,
    );
  }
  alerts.start();
}

function fail(message: string): never {
  process.stderr.write(`${JSON.stringify({ level: 60, time: Date.now(), name: "tidemark-alerts", msg: message })}\n`);
  process.exit(1);
}
