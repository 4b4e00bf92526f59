import type { Stream, Target } from "./story.ts";

const MS_PER_S = 1000;
const UINT32 = 2 ** 32;

/** Random numbers in [0, 1) that depend only on the seed, so that a story can be played again. Source: mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / UINT32;
  };
}

/** A request that should start so many milliseconds after its phase did. */
export interface Arrival {
  atMs: number;
  stream: Stream;
  target: Target;
}

/**
 * All arrivals of a phase in the order of time. They depend on nothing the targets do (an open loop), so a target that
 * falls behind meets the requests it deserves.
 *
 * Every target of a stream gets the same number of requests, each at its own uniformly random moments: a Poisson
 * process whose count is known, so that a comparison of two targets is not one of two draws. Bursts take turns instead,
 * since targets on one machine compete for its processors.
 *
 * @param present targets that take part.
 */
export function schedule(
  streams: Stream[],
  phaseSeconds: number,
  present: ReadonlySet<Target>,
  random: () => number,
): Arrival[] {
  const all: Arrival[] = [];
  for (const stream of streams) {
    const targets = stream.targets.filter((target) => present.has(target));
    for (const [index, target] of targets.entries()) {
      const endMs = phaseSeconds * (stream.until ?? 1) * MS_PER_S;
      const times = stream.burst
        ? burstTimes(stream.burst, endMs, index / targets.length)
        : randomTimes(stream.ratePerSecond ?? 0, endMs, random);
      for (const atMs of times) all.push({ atMs, stream, target });
    }
  }
  return all.sort((a, b) => a.atMs - b.atMs);
}

function randomTimes(ratePerSecond: number, endMs: number, random: () => number): number[] {
  const count = Math.round((ratePerSecond * endMs) / MS_PER_S);
  return Array.from({ length: count }, () => random() * endMs);
}

function burstTimes(burst: { size: number; everySeconds: number }, endMs: number, turn: number): number[] {
  // A phase shorter than the period has one burst per target.
  const periodMs = Math.min(endMs, burst.everySeconds * MS_PER_S);
  const bursts = Math.floor(endMs / periodMs);
  return Array.from({ length: bursts * burst.size }, (_, i) => (Math.floor(i / burst.size) + turn) * periodMs);
}
