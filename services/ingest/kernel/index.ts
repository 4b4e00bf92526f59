export { setSeed } from "./bytes";
export * from "./memory";
export * from "./points";
export { beginMetric, expire, remember, resetSeries } from "./series";
export * from "./spans";
export { beginRequest, CUT, DONE, FULL, ODD, whyStopped } from "./walk";
export { resetWords, wordsFull } from "./words";
