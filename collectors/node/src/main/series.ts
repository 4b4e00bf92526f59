import type { Control } from "../shared/control.ts";
import type { Frame } from "../shared/description.ts";
import { HISTOGRAM_BYTES, Histogram } from "../shared/histogram.ts";
import type { Attributes, SeriesDefinition, SeriesForm } from "../shared/messages.ts";
import { SAMPLED_BYTES, Sampled, VALUE_BYTES, Value } from "../shared/value.ts";

const ROWS_PER_CHUNK = 32;
/** Series one process may create; at 2 KiB a histogram this bounds the agent's memory. */
const MAX_SERIES = 3000;

interface Chunk {
  readonly buffer: SharedArrayBuffer;
  used: number;
}

const BYTES: Readonly<Record<SeriesForm, number>> = {
  histogram: HISTOGRAM_BYTES,
  value: VALUE_BYTES,
  sampled: SAMPLED_BYTES,
};

/** Makes series in shared memory and tells the worker about each. Not for the hot path: callers keep what they get. */
export class SeriesTable {
  readonly definitions: SeriesDefinition[] = [];
  readonly #control: Control;
  readonly #chunks = new Map<SeriesForm, Chunk>();
  announce: (definition: SeriesDefinition) => void = () => {};

  constructor(control: Control) {
    this.#control = control;
  }

  histogram(metric: string, attributes: Attributes): Histogram {
    const place = this.#place(metric, "histogram", attributes);
    return place === undefined ? new Histogram() : new Histogram(place.buffer, place.byteOffset);
  }

  /** `site` are the frames of a call site among the attributes, for its source map. */
  value(metric: string, attributes: Attributes, site?: readonly Frame[]): Value {
    const place = this.#place(metric, "value", attributes, site);
    return place === undefined ? new Value() : new Value(place.buffer, place.byteOffset);
  }

  /** For metrics that come in pairs of mean and maximum: `metric` and `metric.max`. */
  sampled(metric: string, attributes: Attributes): Sampled {
    const place = this.#place(metric, "sampled", attributes);
    return place === undefined ? new Sampled() : new Sampled(place.buffer, place.byteOffset);
  }

  /** A place for one more series; past the limit none, and what is recorded there is counted as dropped. */
  #place(
    metric: string,
    form: SeriesForm,
    attributes: Attributes,
    site?: readonly Frame[],
  ): SeriesDefinition | undefined {
    if (this.definitions.length >= MAX_SERIES) {
      this.#control.countDroppedSeries();
      return undefined;
    }
    const size = BYTES[form];
    let chunk = this.#chunks.get(form);
    if (chunk === undefined || chunk.used === ROWS_PER_CHUNK) {
      chunk = { buffer: new SharedArrayBuffer(ROWS_PER_CHUNK * size), used: 0 };
      this.#chunks.set(form, chunk);
    }
    const definition = { metric, form, attributes, site, buffer: chunk.buffer, byteOffset: chunk.used * size };
    chunk.used += 1;
    this.definitions.push(definition);
    this.announce(definition);
    return definition;
  }
}
