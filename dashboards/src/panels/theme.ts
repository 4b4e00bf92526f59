/** One hue family per runtime everywhere. Red and orange mean "over a threshold" and nothing else. */
export const NODE = { light: "#96D98D", main: "#56A64B", dark: "#19730E" } as const;
export const DJANGO = { light: "#8AB8FF", main: "#3274D9", dark: "#1250B0" } as const;

export const OK = "#56A64B";
export const WARNING = "#FF9830";
export const CRITICAL = "#E02F44";
export const NEUTRAL = "#8E8E8E";

/** Kinds of resource, in the state timeline and wherever they are stacked. */
export const KIND_COLOURS: Readonly<Record<string, string>> = {
  none: "#3D4450",
  event_loop: "#B877D9",
  thread_pool: "#5794F2",
  worker: "#8AB8FF",
  executor: "#37A2A2",
  db_pool: "#F2CC0C",
  listen_queue: "#A16A4B",
  gil: "#C15C9B",
  cpu: "#9FA7B3",
  channel_layer: "#73BF69",
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
