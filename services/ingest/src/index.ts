export { buildApp, type Replacements } from "./app.ts";
export { type Config, completeConfig, configFromEnvironment } from "./config.ts";
export * as errors from "./errors.ts";
