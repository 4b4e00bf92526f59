export { setSeed } from "./bytes";
export * from "./memory";
export * from "./points";
export { beginMetric, expire, remember, resetSeries } from "./series";
