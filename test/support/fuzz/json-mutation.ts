import type { Random } from "../random.ts";

const MAX_MUTATIONS = 4;
/** Stands for text that no JSON value gives: it is put in after the value was written. */
const RAW = "\u0001raw";

const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  1e308,
  "",
  "NaN",
  "Infinity",
  "-1",
  "9223372036854775807",
  "9223372036854775808",
  "18446744073709551616",
  "1.5",
  "0x10",
  "ü\u0000\ud800",
  "zz",
  [],
  [[]],
  {},
  { stringValue: 1 },
  { arrayValue: { values: [null] } },
];
const RAW_TEXTS: readonly string[] = [
  "1e400",
  "-0",
  "NaN",
  "1e-400",
  "123456789012345678901234567890",
  '"\\ud800"',
  "tru",
  "[1,]",
  `${"[".repeat(5000)}${"]".repeat(5000)}`,
  `${'{"arrayValue":{"values":['.repeat(60)}${"]}}".repeat(60)}`,
  `${'{"arrayValue":{"values":['.repeat(2000)}${"]}}".repeat(2000)}`,
];
const KEYS: readonly string[] = ["__proto__", "constructor", "toString", "", "time_unix_nano", "dataPoints", "values"];

type Holder = Record<string, unknown> | unknown[];

/** Changes values, keys and counts of OTLP/JSON, then at times its text. */
export function mutateJson(message: object, random: Random): Buffer {
  const copy = structuredClone(message) as Holder;
  const times = 1 + random.below(MAX_MUTATIONS);
  for (let i = 0; i < times; i++) mutateValue(copy, random);
  const text = JSON.stringify(copy).replaceAll(JSON.stringify(RAW), () => random.pick(RAW_TEXTS));
  if (!random.chance(0.1)) return Buffer.from(text);
  return Buffer.from(
    random.pick([
      () => `\ufeff${text}`,
      () => text.slice(0, random.below(text.length)),
      () => `${text}${text}`,
      () => text.replace("{", '{"resourceMetrics":[],'),
      () => text.replaceAll('"', "'"),
      () => ` \n${text}\n `,
    ])(),
  );
}

function mutateValue(root: Holder, random: Random): void {
  const slots: { holder: Holder; key: string }[] = [];
  const visit = (holder: Holder) => {
    for (const [key, value] of Object.entries(holder)) {
      slots.push({ holder, key });
      if (value !== null && typeof value === "object") visit(value as Holder);
    }
  };
  visit(root);
  if (slots.length === 0) return;
  const { holder, key } = random.pick(slots);
  const at = holder as Record<string, unknown>;
  random.pick([
    () => {
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete at[key];
    },
    () => {
      if (Array.isArray(holder)) {
        const copies = random.chance(0.03) ? 1000 : 1 + random.below(20);
        holder.push(...Array.from({ length: copies }, () => structuredClone(holder[Number(key)])));
      } else at[key] = [at[key], at[key]];
    },
    () => {
      at[key] = structuredClone(random.pick(VALUES));
    },
    () => {
      at[key] = RAW;
    },
    () => {
      at[key] = { [random.pick(KEYS)]: at[key] };
    },
    () => {
      Object.defineProperty(at, random.pick(KEYS), {
        value: at[key],
        enumerable: true,
        configurable: true,
        writable: true,
      });
    },
    () => {
      at[key] = "x".repeat(random.pick([300, 5000, 70_000]));
    },
  ])();
}
