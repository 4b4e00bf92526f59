/** A value split for display: `12.3` + ` ms`. */
export interface Formatted {
  prefix: string;
  text: string;
  suffix: string;
}

type Formatter = (value: number, decimals?: number | null) => Formatted;

const BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi"];
const DECIMAL = ["", "k", "M", "G", "T", "P"];
const SHORT = [" ", " K", " Mil", " Bil", " Tri"];
const MAX_AUTO_DECIMALS = 4;

/** Grafana's unit ids that dashboards use, with Grafana's texts. An unknown id is a suffix. */
const FORMATTERS: Record<string, Formatter> = {
  none: plain(""),
  string: plain(""),
  short: scaled(
    1000,
    SHORT.map((s) => s.trimEnd()),
    "",
  ),
  percent: plain("%"),
  percentunit: (value, decimals) => plain("%")(value * 100, decimals),
  s: seconds,
  ms: (value, decimals) => seconds(value / 1e3, decimals),
  µs: (value, decimals) => seconds(value / 1e6, decimals),
  us: (value, decimals) => seconds(value / 1e6, decimals),
  ns: (value, decimals) => seconds(value / 1e9, decimals),
  m: (value, decimals) => seconds(value * 60, decimals),
  h: (value, decimals) => seconds(value * 3600, decimals),
  d: (value, decimals) => seconds(value * 86400, decimals),
  dtdurations: duration,
  dtdurationms: (value) => duration(value / 1000),
  clocks: duration,
  bytes: scaled(1024, BINARY, "B"),
  decbytes: scaled(1000, DECIMAL, "B"),
  bits: scaled(1024, BINARY, "b"),
  decbits: scaled(1000, DECIMAL, "b"),
  kbytes: (value, decimals) => scaled(1024, BINARY, "B")(value * 1024, decimals),
  mbytes: (value, decimals) => scaled(1024, BINARY, "B")(value * 1024 ** 2, decimals),
  Bps: scaled(1000, DECIMAL, "B/s"),
  binBps: scaled(1024, BINARY, "B/s"),
  bps: scaled(1000, DECIMAL, "b/s"),
  reqps: rate("req/s"),
  rps: rate("reads/s"),
  wps: rate("writes/s"),
  iops: rate("io/s"),
  ops: rate("ops/s"),
  cps: rate("c/s"),
  eps: rate("events/s"),
  mps: rate("messages/s"),
  reqpm: rate("req/m"),
  opm: rate("ops/m"),
  hertz: scaled(1000, DECIMAL, "Hz"),
  locale: (value, decimals) => ({
    prefix: "",
    text: value.toLocaleString("en-US", { maximumFractionDigits: decimals ?? 3 }),
    suffix: "",
  }),
  sci: (value) => ({ prefix: "", text: value.toExponential(2), suffix: "" }),
  bool: (value) => ({ prefix: "", text: value === 0 ? "False" : "True", suffix: "" }),
  bool_yes_no: (value) => ({ prefix: "", text: value === 0 ? "No" : "Yes", suffix: "" }),
  bool_on_off: (value) => ({ prefix: "", text: value === 0 ? "Off" : "On", suffix: "" }),
  dateTimeAsIso: (value) => ({ prefix: "", text: formatDateTime(value), suffix: "" }),
  dateTimeAsLocal: (value) => ({ prefix: "", text: formatDateTime(value), suffix: "" }),
  dateTimeFromNow: (value) => ({ prefix: "", text: fromNow(value), suffix: "" }),
};

/** Formats a number in a unit; `decimals` left out means as many as three significant figures need. */
export function formatUnit(value: number, unit = "none", decimals?: number | null): Formatted {
  if (!Number.isFinite(value)) return { prefix: "", text: String(value), suffix: "" };
  const known = FORMATTERS[unit];
  if (known) return known(value, decimals);
  const [kind, ...rest] = unit.split(":");
  const custom = rest.join(":");
  if (kind === "suffix") return { ...plain("")(value, decimals), suffix: ` ${custom}` };
  if (kind === "prefix") return { ...plain("")(value, decimals), prefix: custom };
  if (kind === "si") return scaled(1000, DECIMAL, custom.replace(/^[kMG]/, ""))(value, decimals);
  if (kind === "time") return { prefix: "", text: formatDateTime(value), suffix: "" };
  return { ...plain("")(value, decimals), suffix: ` ${unit}` };
}

/** The whole text, for example `12.3 ms`. */
export function formatText(value: number, unit?: string, decimals?: number | null): string {
  const { prefix, text, suffix } = formatUnit(value, unit, decimals);
  return `${prefix}${text}${suffix}`;
}

function plain(suffix: string): Formatter {
  return (value, decimals) => ({ prefix: "", text: fixed(value, decimals), suffix });
}

function rate(unit: string): Formatter {
  return (value, decimals) => {
    const { text, suffix } = scaled(
      1000,
      SHORT.map((s) => s.trimEnd()),
      "",
    )(value, decimals);
    return { prefix: "", text, suffix: `${suffix} ${unit}` };
  };
}

function scaled(factor: number, prefixes: string[], unit: string): Formatter {
  return (value, decimals) => {
    let size = value;
    let step = 0;
    while (Math.abs(size) >= factor && step < prefixes.length - 1) {
      size /= factor;
      step++;
    }
    const suffix = prefixes[step]!.trimStart() + unit;
    return { prefix: "", text: fixed(size, decimals), suffix: suffix === "" ? "" : ` ${suffix}` };
  };
}

const TIME_STEPS: [limit: number, size: number, name: string][] = [
  [1e-6, 1e-9, " ns"],
  [1e-3, 1e-6, " µs"],
  [1, 1e-3, " ms"],
  [60, 1, " s"],
  [3600, 60, " min"],
  [86_400, 3600, " hour"],
  [604_800, 86_400, " day"],
  [31_536_000, 604_800, " week"],
];

function seconds(value: number, decimals?: number | null): Formatted {
  if (value === 0) return { prefix: "", text: "0", suffix: " s" };
  const size = Math.abs(value);
  const [, step, name] = TIME_STEPS.find(([limit]) => size < limit) ?? [0, 31_536_000, " year"];
  const amount = value / step;
  const plural = step >= 3600 && fixed(Math.abs(amount), decimals) !== "1" ? "s" : "";
  return { prefix: "", text: fixed(amount, decimals), suffix: name + plural };
}

function duration(value: number): Formatted {
  const parts: string[] = [];
  let rest = Math.abs(value);
  for (const [size, name] of [
    [86_400, "d"],
    [3600, "h"],
    [60, "m"],
    [1, "s"],
  ] as const) {
    const count = Math.floor(rest / size);
    if (count > 0) parts.push(`${count}${name}`);
    rest -= count * size;
  }
  return { prefix: value < 0 ? "-" : "", text: parts.slice(0, 2).join(" ") || "0s", suffix: "" };
}

/** Fixed decimals; without them three significant figures and no trailing zeros. */
function fixed(value: number, decimals?: number | null): string {
  if (decimals !== undefined && decimals !== null) return value.toFixed(decimals);
  const size = Math.abs(value);
  if (size === 0) return "0";
  const digits = Math.min(MAX_AUTO_DECIMALS, Math.max(0, 2 - Math.floor(Math.log10(size))));
  const text = value.toFixed(digits);
  return digits > 0 ? text.replace(/\.?0+$/, "") || "0" : text;
}

const two = (value: number) => String(value).padStart(2, "0");

/** Local time `2026-11-21 04:33:50`. */
export function formatDateTime(ms: number): string {
  const date = new Date(ms);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${formatTime(ms)}`;
}

/** Local time `04:33:50`. */
export function formatTime(ms: number): string {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `3 min ago`. */
export function fromNow(ms: number): string {
  const { text, suffix } = seconds(Math.max(0, Math.round((Date.now() - ms) / 1000)), 0);
  return `${text}${suffix} ago`;
}
