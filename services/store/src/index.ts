export { bucketQuantile } from "./bucket-quantile.ts";
export {
  createStoreClient,
  parseStoreUrl,
  type StoreClient,
  type StoreClientOptions,
  type StoreUrl,
} from "./client.ts";
export { type Cluster, clusterSchema, localTable, onCluster } from "./cluster.ts";
export { type ExponentialMerge, exponentialQuantile, mergeExponential } from "./exponential-histogram.ts";
export { type MigrateOptions, type MigrateResult, MigrationError, migrate } from "./migrate.ts";
export { type Migration, readMigrations } from "./migrations.ts";
export { completeRetention, DEFAULT_RETENTION, type Retention } from "./retention.ts";
export { DATABASE, SATURATION_COLUMNS, type SaturationRow, TABLES, type TableName } from "./tables.ts";
