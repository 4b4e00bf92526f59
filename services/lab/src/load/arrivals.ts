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

/** One stream at one target, and when its next requests should start. */
export interface Arrivals {
  stream: Stream;
  target: Target;
  /** Start of the next requests, in ms since the start of the phase; Infinity after the last. */
  nextMs: number;
  /** How many start at that moment. */
  size: number;
  /** Moves on to the next start. */
  advance(): void;
}

/**
 * The arrivals of one stream at one target: they depend on nothing the target does (an open loop), so a target that
 * falls behind meets the requests it deserves.
 *
 * @param turn share of a burst's period by which this target's bursts come later, so that targets on one machine do
 *   not compete for its processors.
 */
export function arrivals(
  stream: Stream,
  target: Target,
  phaseSeconds: number,
  random: () => number,
  turn: number,
): Arrivals {
  const endMs = phaseSeconds * (stream.until ?? 1) * MS_PER_S;
  const periodMs = stream.burst ? stream.burst.everySeconds * MS_PER_S : MS_PER_S / (stream.ratePerSecond ?? 0);
  const gapMs = () => (stream.burst ? periodMs : -Math.log(1 - random()) * periodMs);
  const clip = (ms: number) => (ms < endMs ? ms : Number.POSITIVE_INFINITY);
  return {
    stream,
    target,
    size: stream.burst?.size ?? 1,
    nextMs: clip(stream.burst ? turn * periodMs : gapMs()),
    advance() {
      this.nextMs = clip(this.nextMs + gapMs());
    },
  };
}
