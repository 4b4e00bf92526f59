export { buildViewer } from "./app.ts";
export { ConfigError, configFromEnvironment, type ViewerConfig } from "./config.ts";
