export { type DemoServicesOptions, defaultPython, labServices, type ServiceCommand } from "./demo-services.ts";
export { buildNodeService, type NodeServiceDatabases } from "./node-service/app.ts";
export { type Postgres, type PostgresOptions, startPostgres } from "./postgres/server.ts";
