import { DATASOURCE_TYPE, DATASOURCE_UID } from "../datasource.ts";

const TRACES_AND_LOGS_DATABASE = "tidemark";

/**
 * The ClickHouse data source, over HTTP so that it reaches a server and the embedded engine alike. Grafana expands the variables when
 * it starts: `TIDEMARK_CLICKHOUSE_HOST`, `TIDEMARK_CLICKHOUSE_PORT`, `TIDEMARK_CLICKHOUSE_USER` (a read-only one), `TIDEMARK_CLICKHOUSE_PASSWORD`.
 */
export function dataSourceFile(): object {
  return {
    apiVersion: 1,
    datasources: [
      {
        name: "Tidemark",
        uid: DATASOURCE_UID,
        type: DATASOURCE_TYPE,
        access: "proxy",
        isDefault: true,
        editable: false,
        jsonData: {
          host: "$TIDEMARK_CLICKHOUSE_HOST",
          port: "$TIDEMARK_CLICKHOUSE_PORT",
          protocol: "http",
          secure: false,
          username: "$TIDEMARK_CLICKHOUSE_USER",
          defaultDatabase: "tidemark",
          dialTimeout: "10",
          queryTimeout: "30",
          traces: {
            defaultDatabase: TRACES_AND_LOGS_DATABASE,
            defaultTable: "otel_traces",
            otelEnabled: true,
            otelVersion: "latest",
            durationUnit: "nanoseconds",
          },
          logs: {
            defaultDatabase: TRACES_AND_LOGS_DATABASE,
            defaultTable: "otel_logs",
            otelEnabled: true,
            otelVersion: "latest",
          },
        },
        secureJsonData: { password: "$TIDEMARK_CLICKHOUSE_PASSWORD" },
      },
    ],
  };
}
