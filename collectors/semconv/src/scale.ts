/**
 * Scale of every exponential histogram the agents send: bucket `i` holds (2^(i/16), 2^((i+1)/16)] seconds, so a
 * bucket's middle is within 2.2 % of every value in it. One fixed scale lets SQL merge buckets by adding maps.
 */
export const EXPONENTIAL_HISTOGRAM_SCALE = 4;

/** Values at or below it count as zero. In the histogram's own unit; a microsecond for durations. */
export const ZERO_THRESHOLD = 1e-6;
