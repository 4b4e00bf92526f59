/**
 * Ids of the panels that others point at (alert rules, links). An id is for ever: a link in an old notification must open
 * the same question.
 */
export const DASHBOARDS = {
  overview: "tidemark-overview",
  compare: "tidemark-compare",
  node: "tidemark-node",
  django: "tidemark-django",
  ingest: "tidemark-ingest",
} as const;

export const PANELS = {
  freshness: 17,
  eventLoopWait: 211,
  eventLoopStall: 212,
  libuvWait: 221,
  nodePoolWait: 231,
  busyThreads: 311,
  threadWait: 312,
  listenQueue: 321,
  findings: 361,
  ingestReports: 415,
  rejections: 424,
  ingestLag: 434,
  ingestLog: 435,
  overflow: 452,
} as const;
