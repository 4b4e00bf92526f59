/** Three shades of one hue; where a page shows several services of a runtime, its neighbours tell them apart. */
export interface Hue {
  readonly light: string;
  readonly main: string;
  readonly dark: string;
  readonly neighbours?: readonly [Hue, Hue];
}

/** One hue family per runtime everywhere. Red and orange mean "over a threshold" and nothing else. */
export const NODE: Hue = {
  light: "#96D98D",
  main: "#56A64B",
  dark: "#19730E",
  neighbours: [
    { light: "#7FD8C4", main: "#2BA58B", dark: "#0F7460" },
    { light: "#D3DB7E", main: "#A3AE2A", dark: "#6F7812" },
  ],
};
export const DJANGO: Hue = {
  light: "#8AB8FF",
  main: "#3274D9",
  dark: "#1250B0",
  neighbours: [
    { light: "#7FD3E6", main: "#2A9DB8", dark: "#0E6E85" },
    { light: "#B9ADF5", main: "#7C68DB", dark: "#4E3BAD" },
  ],
};

/** Tidemark's own services: neither runtime's hue. */
export const OWN = { light: "#CA95E5", main: "#8F5FD1", dark: "#5C2E91" } as const;

/** Colour of a series by regular expression on its name; the last that matches wins. */
export type SeriesColours = Readonly<Record<string, string>>;

/** Pages with both runtimes: a series has its runtime's hue; p50, p95 and p99 are light, middle and dark. */
export const RUNTIME_COLOURS: SeriesColours = {
  "/node/i": NODE.main,
  "/django/i": DJANGO.main,
  "/django.*asgi/i": DJANGO.light,
  "/node.*p50/i": NODE.light,
  "/django.*p50/i": DJANGO.light,
  "/node.*p99/i": NODE.dark,
  "/django.*p99/i": DJANGO.dark,
};

/** A dozen resources of two runtimes: the hue says whose, shade and dashes say what. Middle shades, to be read on white and on black. */
export const RESOURCE_COLOURS: SeriesColours = {
  "/^node/": NODE.main,
  "/^node event_loop/": "#2C8A20",
  "/^node thread_pool/": "#37A85E",
  "/^node db_pool/": "#8DB33A",
  "/^node (cpu|listen_queue)/": "#9CBFA0",
  "/^django/": DJANGO.main,
  "/^django (thread_pool|worker)/": "#2464CC",
  "/^django event_loop/": "#5BA3F5",
  "/^django executor/": "#3FA7D6",
  "/^django (db_pool|channel_layer)/": "#6C7BE0",
  "/^django gil/": "#4D6FB0",
  "/^django (cpu|listen_queue)/": "#A0B4CF",
};

/** Dashes that go with {@link RESOURCE_COLOURS}: among the pools of one runtime the name's last letter decides. */
export const RESOURCE_DASHES: Readonly<Record<string, readonly number[]>> = {
  "/thread_pool slow/": [3, 3],
  "/db_pool/": [8, 3],
  "/db_pool.*[n-z]$/": [2, 3],
  "/executor/": [8, 3],
  "/ gil /": [5, 3],
  "/ (cpu|listen_queue) /": [2, 4],
};

/** Last characters of the services that have the first and the second neighbour of their runtime's hue: a third of usual names each. */
const NEIGHBOURS = ["[f-mst4-6]", "[b-dpru-z7-9]"];

/**
 * Pages of one runtime, whose series begin with the service: shades of its hue tell processes, quantiles and lanes apart, neighbours of the
 * hue the services; a capacity is grey.
 */
export function shades(hue: Hue): SeriesColours {
  const neighbours = (hue.neighbours ?? []).map((neighbour, i) => shadesOf(neighbour, `^\\S*${NEIGHBOURS[i]}`));
  return Object.assign(shadesOf(hue), ...neighbours, { "/capacity/": "#8E8E8E" });
}

/** Of the services whose names match, or of all. */
function shadesOf({ light, main, dark }: Hue, service?: string): SeriesColours {
  const what = service === undefined ? "" : `${service} .*`;
  return {
    [service === undefined ? "/./" : `/${service}( |$)/`]: main,
    [`/${what}[147ad]$/`]: light,
    [`/${what}[258be]$/`]: dark,
    [`/${what}p50/`]: light,
    [`/${what}p95/`]: main,
    [`/${what}p99/`]: dark,
    [`/${what}(slow|waiting|idle)/`]: light,
  };
}

export const OK = "#56A64B";
export const WARNING = "#FF9830";
export const CRITICAL = "#E02F44";
export const NEUTRAL = "#8E8E8E";

/** Kinds of resource, in the state timeline and wherever they are stacked. */
export const KIND_COLOURS: Readonly<Record<string, string>> = {
  none: "rgba(142, 149, 163, 0.3)",
  event_loop: "#B877D9",
  thread_pool: "#5794F2",
  worker: "#8AB8FF",
  executor: "#37A2A2",
  db_pool: "#F2CC0C",
  listen_queue: "#A16A4B",
  gil: "#C15C9B",
  cpu: "#E0752D",
  channel_layer: "#73BF69",
};

/** Tables that the ingest writes, by regular expression: generic metrics, subjects, traces and logs, what they refer to. */
export const TABLE_COLOURS: SeriesColours = {
  "/^samples/": "#8F5FD1",
  "/^histograms/": "#C66FBF",
  "/^exp_histograms/": "#5794F2",
  "/^summaries/": "#A16A4B",
  "/^resource_samples/": "#37A2A2",
  "/^http_requests/": "#3274D9",
  "/^request_phases/": "#8AB8FF",
  "/^query_timings/": "#56A64B",
  "/^connection_memory/": "#96D98D",
  "/^otel_traces/": "#C4A61C",
  "/^otel_logs/": "#E0569B",
  "/^series/": "#5C2E91",
  "/^query_statements/": "#9FA7B3",
};

/** Phases of a request, in the order they happen. */
export const PHASE_COLOURS: Readonly<Record<string, string>> = {
  queue: "#E0569B",
  middleware: "#9FA7B3",
  view: "#5794F2",
  db_pool: "#F2CC0C",
  db: "#B877D9",
  cache: "#73BF69",
  template: "#37A2A2",
  send: "#A16A4B",
};
