import { fileURLToPath } from "node:url";
import { loadDashboards } from "@tidemark/dashboards";
import Fastify, { type FastifyInstance, LogController } from "fastify";
import { openClickHouse } from "./clickhouse.ts";
import { DEFAULTS, type ViewerConfig } from "./config.ts";
import { installErrors } from "./errors.ts";
import type { Dashboard } from "./grafana/model.ts";
import { alertRoutes } from "./routes/alerts.ts";
import { Catalogue, dashboardRoutes } from "./routes/dashboards.ts";
import { pageRoutes } from "./routes/page.ts";
import { statusRoutes } from "./routes/status.ts";
import { viewRoutes } from "./routes/view.ts";
import { installSecurity } from "./security.ts";

const MAX_BODY_BYTES = 256 * 1024;

/** The viewer without a port; ClickHouse need not be there. Closing the server closes its connections. */
export async function buildViewer(partial: Partial<ViewerConfig> = {}): Promise<FastifyInstance> {
  const config: ViewerConfig = { ...DEFAULTS, ...partial };
  const app = Fastify({
    // An unknown field is refused, not dropped: nobody should believe that SQL sent from a browser runs.
    ajv: { customOptions: { removeAdditional: false } },
    logger: { level: config.logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
  });
  const database = openClickHouse({
    url: config.clickhouseUrl,
    queryTimeout: config.queryTimeout,
    maxRows: config.maxRows,
  });
  app.addHook("onClose", async () => database.close());
  const catalogue = new Catalogue(config.dashboards ?? ((await loadDashboards()) as unknown as Dashboard[]));
  installErrors(app);
  installSecurity(app, config);
  statusRoutes(app, database);
  dashboardRoutes(app, catalogue);
  viewRoutes(app, catalogue, database);
  alertRoutes(app, config.alertsUrl, config.token, database);
  await pageRoutes(app, config.publicDir ?? fileURLToPath(new URL("../dist/public", import.meta.url)));
  return app;
}
