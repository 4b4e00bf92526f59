const EXIT_SECONDS = 4.5;
// UTC whatever the machine's zone, as in ClickHouse's image: partitions by day and times in text mean the same everywhere.
process.env.TZ = "UTC";

const { configFromEnvironment, startEngine } = await import("./index.ts");
const { pino } = await import("pino");
const log = pino({ name: "tidemark-engine" });

try {
  const config = configFromEnvironment(process.env);
  log.level = config.logLevel;
  const started = performance.now();
  const engine = await startEngine(config);
  log.info(
    { url: engine.url, dataDirectory: config.dataDirectory, startMs: Math.round(performance.now() - started) },
    "engine ready",
  );
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, "engine stopping");
    setTimeout(() => process.kill(process.pid, "SIGKILL"), EXIT_SECONDS * 1e3).unref();
    engine.close().then(
      () => {
        log.info("engine stopped");
        process.exit(0);
      },
      (error) => {
        log.error({ err: error }, "engine did not stop cleanly");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
} catch (error) {
  log.fatal(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
