import { expect, test } from "vitest";
import { Ours } from "../bench/contenders.ts";
import { payload, SHAPES } from "../bench/payloads.ts";
import { TABLE_ORDER } from "../src/rows/tables.ts";

const NOW = 1_700_500_000_000;
const TABLES = {
  numbers: "samples",
  histograms: "histograms",
  exponential_histograms: "exp_histograms",
  spans: "otel_traces",
} as const;

test("what the bench measures is complete: the same rows each time, after any other kind of request", () => {
  const payloads = new Map(SHAPES.map((shape) => [shape, payload(shape, NOW)]));
  const ours = new Ours(payloads, NOW);
  const first = new Map<string, Buffer>();
  for (let round = 0; round < 3; round++) {
    for (const shape of SHAPES) {
      const { blocks, rejected } = ours.decode(shape);
      const block = blocks.find(({ table }) => TABLE_ORDER[table] === TABLES[shape])!;
      expect([block.rows, rejected]).toEqual([payloads.get(shape)!.units, 0]);
      // The first request brings the rows of its series as well.
      expect(blocks.length).toBe(round === 0 && shape !== "spans" ? 2 : 1);
      const bytes = first.get(shape);
      if (bytes === undefined) first.set(shape, block.bytes);
      else expect(block.bytes.equals(bytes), shape).toBe(true);
    }
  }
});

test("a turn of the bench counts what it decoded", async () => {
  const ours = new Ours(new Map(SHAPES.map((shape) => [shape, payload(shape, NOW)])), NOW);
  for (const shape of SHAPES) expect(await ours.rate(shape, 1)).toBeGreaterThan(0);
});
