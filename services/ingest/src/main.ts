import { buildApp } from "./app.ts";
import { configFromEnvironment } from "./config.ts";

const STOP_MS = 4_500;

try {
  const config = configFromEnvironment(process.env);
  const app = await buildApp(config);
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    app.log.info({ signal }, "stopping");
    // What is not inserted in time is on disk and goes out at the next start.
    setTimeout(() => process.exit(0), STOP_MS).unref();
    await app.close();
    app.log.info("stopped");
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void stop(signal));
  try {
    await app.listen({ host: config.host, port: config.port });
  } catch (error) {
    await app.close();
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new Error(`port ${config.port} on ${config.host} is taken: set TIDEMARK_OTLP_PORT to another one`);
  }
  const address = app.server.address();
  const port = typeof address === "object" ? address?.port : config.port;
  app.log.info({ host: config.host, port, dataDirectory: config.dataDirectory }, "ready");
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  console.error(JSON.stringify({ level: 60, time: Date.now(), name: "tidemark-ingest", code, msg: message }));
  process.exit(1);
}
