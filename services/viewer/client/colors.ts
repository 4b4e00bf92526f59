export type Theme = "dark" | "light";

/** Grafana's named hues, five shades each from super-light to super-dark. Source: Grafana, `createVisualizationColors`. */
const HUES: Record<string, [superLight: string, light: string, base: string, semiDark: string, dark: string]> = {
  red: ["#FFA6B0", "#FF7383", "#F2495C", "#E02F44", "#C4162A"],
  orange: ["#FFCB7D", "#FFB357", "#FF9830", "#FF780A", "#FA6400"],
  yellow: ["#FFF899", "#FFEE52", "#FADE2A", "#F2CC0C", "#E0B400"],
  green: ["#C8F2C2", "#96D98D", "#73BF69", "#56A64B", "#37872D"],
  blue: ["#C0D8FF", "#8AB8FF", "#5794F2", "#3274D9", "#1F60C4"],
  purple: ["#DEB6F2", "#CA95E5", "#B877D9", "#A352CC", "#8F3BB8"],
};

const OTHERS: Record<string, string> = {
  transparent: "rgba(0,0,0,0)",
  white: "#fff",
  black: "#000",
  gray: "#8e95a3",
  grey: "#8e95a3",
  text: "",
};

const DARK_TEXT = "#d5d9e2";
const LIGHT_TEXT = "#1f2633";

/** Any colour of the dashboard JSON as CSS. In light theme the base shade is one step darker, as in Grafana. */
export function resolveColor(name: string, theme: Theme): string {
  const text = theme === "dark" ? DARK_TEXT : LIGHT_TEXT;
  if (name === "text") return text;
  if (name in OTHERS) return OTHERS[name]!;
  const match = /^(?:(super-light|light|semi-dark|dark)-)?([a-z]+)$/.exec(name);
  const hue = match ? HUES[match[2]!] : undefined;
  if (!hue) return name || text;
  const index = { "super-light": 0, light: 1, "semi-dark": 3, dark: 4 }[match![1] ?? ""] ?? (theme === "dark" ? 2 : 3);
  return hue[index as 0]!;
}

const CLASSIC_DARK = [
  "#5b9dff",
  "#4cc38a",
  "#f5b94d",
  "#b58cf0",
  "#f2726f",
  "#3fc1c9",
  "#e58fd0",
  "#a3b65a",
  "#8796b5",
  "#ff9a5c",
];
const CLASSIC_LIGHT = [
  "#2f6fdb",
  "#1f8f5f",
  "#c98410",
  "#7d4fc9",
  "#cf3f4b",
  "#0f8b94",
  "#b9489c",
  "#6d7f1f",
  "#5a6884",
  "#d0621b",
];

/** Colour of the n-th series without a colour of its own. */
export function paletteColor(index: number, theme: Theme): string {
  const palette = theme === "dark" ? CLASSIC_DARK : CLASSIC_LIGHT;
  return palette[index % palette.length]!;
}

/** A CSS colour with alpha 0 to 1, on top of what alpha it has. Understands #rgb, #rrggbb, rgb() and rgba(). */
export function withAlpha(color: string, alpha: number): string {
  const [r, g, b] = rgb(color);
  return `rgba(${r},${g},${b},${alpha * alphaOf(color)})`;
}

/** Alpha of a CSS colour, 0 to 1: 1 unless it is an rgba() that says otherwise. */
export function alphaOf(color: string): number {
  return Number(/^rgba\((?:[^,]+,){3}([^)]+)\)/.exec(color)?.[1] ?? 1);
}

export function rgb(color: string): [number, number, number] {
  const hex = /^#([0-9a-f]{6}|[0-9a-f]{3})/i.exec(color)?.[1];
  if (hex) {
    const full = hex.length === 3 ? [...hex].map((c) => c + c).join("") : hex;
    return [0, 2, 4].map((i) => Number.parseInt(full.slice(i, i + 2), 16)) as [number, number, number];
  }
  const numbers = color.match(/[\d.]+/g)?.map(Number) ?? [];
  return [numbers[0] ?? 128, numbers[1] ?? 128, numbers[2] ?? 128];
}

/** Black or white, whichever reads better on `color`. WCAG relative luminance. */
export function textOn(color: string): string {
  const [r, g, b] = rgb(color).map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b! > 0.32 ? "#10141c" : "#ffffff";
}

/** Stops of continuous colour schemes, from low to high. Sources: d3-scale-chromatic's Turbo, Oranges, … sampled. */
const SCHEMES: Record<string, string[]> = {
  turbo: ["#30123b", "#4662d7", "#36aaf9", "#1ae4b6", "#72fe5e", "#c8ef34", "#faba39", "#f66b19", "#ca2a04", "#7a0403"],
  viridis: [
    "#440154",
    "#482878",
    "#3e4989",
    "#31688e",
    "#26828e",
    "#1f9e89",
    "#35b779",
    "#6ece58",
    "#b5de2b",
    "#fde725",
  ],
  inferno: [
    "#000004",
    "#1b0c41",
    "#4a0c6b",
    "#781c6d",
    "#a52c60",
    "#cf4446",
    "#ed6925",
    "#fb9b06",
    "#f7d13d",
    "#fcffa4",
  ],
  magma: ["#000004", "#180f3d", "#440f76", "#721f81", "#9e2f7f", "#cd4071", "#f1605d", "#fd9668", "#feca8d", "#fcfdbf"],
  plasma: [
    "#0d0887",
    "#47039f",
    "#7301a8",
    "#9c179e",
    "#bd3786",
    "#d8576b",
    "#ed7953",
    "#fa9e3b",
    "#fdc926",
    "#f0f921",
  ],
  oranges: ["#fff5eb", "#fee6ce", "#fdd0a2", "#fdae6b", "#fd8d3c", "#f16913", "#d94801", "#a63603", "#7f2704"],
  blues: ["#f7fbff", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c", "#08306b"],
  greens: ["#f7fcf5", "#e5f5e0", "#c7e9c0", "#a1d99b", "#74c476", "#41ab5d", "#238b45", "#006d2c", "#00441b"],
  reds: ["#fff5f0", "#fee0d2", "#fcbba1", "#fc9272", "#fb6a4a", "#ef3b2c", "#cb181d", "#a50f15", "#67000d"],
  purples: ["#fcfbfd", "#efedf5", "#dadaeb", "#bcbddc", "#9e9ac8", "#807dba", "#6a51a3", "#54278f", "#3f007d"],
  greys: ["#ffffff", "#f0f0f0", "#d9d9d9", "#bdbdbd", "#969696", "#737373", "#525252", "#252525", "#000000"],
  spectral: [
    "#9e0142",
    "#d53e4f",
    "#f46d43",
    "#fdae61",
    "#fee08b",
    "#ffffbf",
    "#e6f598",
    "#abdda4",
    "#66c2a5",
    "#3288bd",
    "#5e4fa2",
  ],
  ylorrd: ["#ffffcc", "#ffeda0", "#fed976", "#feb24c", "#fd8d3c", "#fc4e2a", "#e31a1c", "#bd0026", "#800026"],
  ylgnbu: ["#ffffd9", "#edf8b1", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#253494", "#081d58"],
  rdylgn: [
    "#a50026",
    "#d73027",
    "#f46d43",
    "#fdae61",
    "#fee08b",
    "#ffffbf",
    "#d9ef8b",
    "#a6d96a",
    "#66bd63",
    "#1a9850",
    "#006837",
  ],
  grylrd: ["#73bf69", "#fade2a", "#f2495c"],
};
const SINGLE_HUE = new Set(["oranges", "blues", "greens", "reds", "purples", "greys", "ylorrd", "ylgnbu"]);

/** A colour scale from 0 (low) to 1 (high). One-hue scales run away from the background, so that low fades into it. */
export function colorScale(scheme: string, theme: Theme, reverse = false): (share: number) => string {
  const key = scheme.toLowerCase().replace(/^continuous-/, "");
  const stops = SCHEMES[key] ?? SCHEMES.turbo!;
  const flip = reverse !== (SINGLE_HUE.has(key) && theme === "dark");
  return (share) => {
    const position = Math.min(1, Math.max(0, flip ? 1 - share : share)) * (stops.length - 1);
    const low = Math.floor(position);
    const a = rgb(stops[low]!);
    const b = rgb(stops[Math.min(low + 1, stops.length - 1)]!);
    const mix = a.map((v, i) => Math.round(v + (b[i]! - v) * (position - low)));
    return `rgb(${mix.join(",")})`;
  };
}
