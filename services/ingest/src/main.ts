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
  process.on("SIGHUP", () => void app.reload());
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void stop(signal));
  let port: number | undefined;
  let grpcPort: number | undefined;
  try {
    await taking(config.port, "TIDEMARK_OTLP_PORT", () => app.listen({ host: config.host, port: config.port }));
    const address = app.server.address();
    port = typeof address === "object" ? address?.port : config.port;
    if (config.grpcPort !== "off") {
      const wanted = config.grpcPort;
      grpcPort = await taking(wanted, "TIDEMARK_OTLP_GRPC_PORT", () => app.grpc.listen(config.host, wanted));
    }
  } catch (error) {
    await app.close();
    throw error;
  }
  app.log.info({ host: config.host, port, grpcPort, dataDirectory: config.dataDirectory }, "ready");
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  console.error(JSON.stringify({ level: 60, time: Date.now(), name: "tidemark-ingest", code, msg: message }));
  process.exit(1);
}

async function taking<T>(port: number, variable: string, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new Error(`port ${port} is taken: set ${variable} to another one`);
  }
}
