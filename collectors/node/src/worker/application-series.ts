import { METRICS } from "@tidemark/semconv";
import { Histogram, type HistogramDelta, HistogramReader } from "../shared/histogram.ts";
import type { SeriesDefinition } from "../shared/messages.ts";
import { Sampled, Value } from "../shared/value.ts";
import type { Batch } from "./batch.ts";

const counters = new Set(METRICS.filter(({ instrument }) => instrument === "counter").map(({ name }) => name));

type Reader = (batch: Batch, epoch: number) => void;

/** The series that the application thread writes in shared memory. */
export class ApplicationSeries {
  readonly #readers: Reader[] = [];
  readonly #connections: { readonly kind: string; readonly value: Value }[] = [];

  add(definition: SeriesDefinition): void {
    this.#readers.push(this.#reader(definition));
  }

  read(batch: Batch, epoch: number): void {
    for (const reader of this.#readers) reader(batch, epoch);
  }

  /** Open inbound connections by kind, now. */
  inboundConnections(): ReadonlyMap<string, number> {
    return new Map(this.#connections.map(({ kind, value }) => [kind, value.current]));
  }

  #reader({ metric, form, attributes, buffer, byteOffset }: SeriesDefinition): Reader {
    switch (form) {
      case "histogram": {
        const reader = new HistogramReader(new Histogram(buffer, byteOffset));
        return (batch, epoch) => {
          const delta: HistogramDelta | undefined = reader.read(epoch);
          batch.add(metric, attributes, delta);
        };
      }
      case "sampled": {
        const sampled = new Sampled(buffer, byteOffset);
        return (batch, epoch) => {
          const read = sampled.read(epoch);
          batch.add(metric, attributes, read?.mean);
          batch.add(`${metric}.max`, attributes, read?.max);
        };
      }
      case "value": {
        const value = new Value(buffer, byteOffset);
        if (metric === "tidemark.connections" && attributes["tidemark.connection.direction"] === "inbound") {
          this.#connections.push({ kind: String(attributes["tidemark.connection.kind"]), value });
        }
        if (!counters.has(metric)) return (batch) => batch.add(metric, attributes, value.current);
        let before = 0;
        return (batch) => {
          const now = value.current;
          batch.add(metric, attributes, Math.max(0, now - before));
          before = now;
        };
      }
    }
  }
}
