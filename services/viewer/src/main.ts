import { buildViewer } from "./app.ts";
import { ConfigError, configFromEnvironment } from "./config.ts";

const DRAIN_MS = 4000;

async function main(): Promise<void> {
  const config = configFromEnvironment(process.env);
  const app = await buildViewer(config);
  const stop = () => {
    setTimeout(() => process.exit(0), DRAIN_MS).unref();
    app.close().then(
      () => process.exit(0),
      (error) => {
        app.log.error({ err: error }, "did not close cleanly");
        process.exit(1);
      },
    );
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  try {
    const address = await app.listen({ host: config.host, port: config.port });
    app.log.info({ address }, "viewer is open");
  } catch (error) {
    await app.close();
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new ConfigError(`Port ${config.port} is taken: set TIDEMARK_VIEWER_PORT to a free one`);
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof ConfigError ? error.message : (error as Error).stack}\n`);
  process.exit(1);
});
