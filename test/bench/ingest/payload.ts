import { join } from "node:path";
import protobuf from "protobufjs";
import { ROOT } from "../../support/tidemark.ts";

/** Name of every point of the load. */
export const METRIC = "bench.metric";
const ROUTES = 50;
const RESOURCE_ATTRIBUTES = 10;
/** Stands in for the time while a body is made; its bytes are found again and replaced before each sending. */
const MAGIC_NANOS = 0x7ea5_1de5_c0de_f00dn;
const NANOS_PER_MS = 1_000_000n;

/** How the load looks. */
export interface Shape {
  /** Number points of one request. */
  readonly points: number;
  readonly resources: number;
  /** Series of the whole load: `series / points` senders with series of their own. */
  readonly series: number;
  /** Time between two points of a series, ms. */
  readonly stepMs: number;
}

/** One request of the load, to be sent again and again with other times. */
export interface Template {
  readonly body: Buffer;
  /** Where the times of its points are: 8 bytes each, little-endian. */
  readonly times: readonly number[];
}

/**
 * OTLP requests of gauges with three attributes under resources with ten, as an SDK or a Collector sends them in batches:
 * one template per sender and variant; variants have the same series and other values.
 */
export function templates(shape: Shape, variants: number): Template[][] {
  const root = protobuf.loadSync(join(ROOT, "services", "ingest", "test", "fixtures", "otlp.proto"));
  const requests = root.lookupType("otlp.ExportMetricsServiceRequest");
  const senders = Math.max(1, Math.round(shape.series / shape.points));
  const next = random(42);
  return Array.from({ length: senders }, (_, sender) =>
    Array.from({ length: variants }, () => {
      const message = requests.fromObject(request(shape, sender, next));
      const body = Buffer.from(requests.encode(message).finish());
      return { body, times: placesOf(MAGIC_NANOS, body) };
    }),
  );
}

/** Writes the template's body into `target`, with all of its points at `ms`; the bytes to send. */
export function stamped(template: Template, target: Buffer, ms: number): Buffer {
  template.body.copy(target);
  const nanos = BigInt(ms) * NANOS_PER_MS;
  const low = Number(nanos & 0xffff_ffffn);
  const high = Number(nanos >> 32n);
  for (const at of template.times) {
    target.writeUInt32LE(low, at);
    target.writeUInt32LE(high, at + 4);
  }
  return target.subarray(0, template.body.length);
}

function request(shape: Shape, sender: number, next: () => number): Record<string, unknown> {
  const perResource = Math.ceil(shape.points / shape.resources);
  const point = (n: number) => ({
    timeUnixNano: MAGIC_NANOS.toString(),
    asDouble: Math.round(next() * 1e6) / 1000,
    attributes: [
      text("http.route", `/books/${n % ROUTES}`),
      text("http.request.method", "GET"),
      text("worker", String(n)),
    ],
  });
  return {
    resourceMetrics: Array.from({ length: shape.resources }, (_, r) => ({
      resource: { attributes: resource(`${sender}-${r}`) },
      scopeMetrics: [
        {
          scope: { name: "bench" },
          metrics: [
            {
              name: METRIC,
              gauge: {
                dataPoints: Array.from({ length: Math.min(perResource, shape.points - r * perResource) }, (_, i) =>
                  point(r * perResource + i),
                ),
              },
            },
          ],
        },
      ],
    })),
  };
}

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const resource = (name: string) =>
  Array.from({ length: RESOURCE_ATTRIBUTES }, (_, k) =>
    text(k === 0 ? "service.name" : `resource.attribute.${k}`, `value-${name}-${k}`),
  );

function placesOf(nanos: bigint, body: Buffer): number[] {
  const needle = Buffer.alloc(8);
  needle.writeBigUInt64LE(nanos);
  const places: number[] = [];
  for (let at = body.indexOf(needle); at !== -1; at = body.indexOf(needle, at + 8)) places.push(at);
  return places;
}

/** A linear congruential generator: every run sends the same values. Source: Numerical Recipes. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}
