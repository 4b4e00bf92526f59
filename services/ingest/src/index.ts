export { buildApp, type Replacements } from "./app.ts";
export { type Config, completeConfig, configFromEnvironment } from "./config.ts";
export * as errors from "./errors.ts";
export { logDirectory } from "./log/files.ts";
export { type FileReport, inspectLog, type LogReport } from "./log/inspect.ts";
export { type Replayed, type ReplayOptions, ReplayRefused, replayFiles } from "./log/replay.ts";
export * as tokens from "./security/tokens.ts";
