/** The data source every query names; provisioned under this uid in Grafana. */
export const DATASOURCE_UID = "tidemark-clickhouse";
export const DATASOURCE_TYPE = "grafana-clickhouse-datasource";
