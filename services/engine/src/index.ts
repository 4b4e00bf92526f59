export { buildEngine } from "./app.ts";
export { configFromEnvironment, type EngineConfig, engineConfig } from "./config.ts";
export { type RunningEngine, startEngine } from "./start.ts";
