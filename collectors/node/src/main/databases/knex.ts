import { createRequire } from "node:module";
import { type DriverParts, tellAsked } from "./driver.ts";
import { type PoolKind, timeAcquire } from "./pool.ts";

interface TarnPool {
  readonly max: number;
  readonly destroyed?: boolean;
  numUsed(): number;
  numFree(): number;
  numPendingAcquires(): number;
}
interface PendingAcquire {
  readonly promise: Promise<unknown>;
}

/** Of which database its connections are it does not know. */
const tarnPool: PoolKind<TarnPool> = {
  system: "other_sql",
  name: () => "knex",
  state: (pool) => ({
    capacity: pool.max,
    used: pool.numUsed(),
    idle: pool.numFree(),
    waiting: pool.numPendingAcquires(),
    ended: pool.destroyed === true,
  }),
};

/**
 * Times every wait for a connection of knex, whose pool is `tarn` and not the driver's own; its statements are timed
 * in the driver, and asked for where the application begins to build them.
 */
export function followKnex(parts: DriverParts): void {
  const { loads, contexts, pools } = parts;
  loads.awaitFile({
    within: "knex",
    file: "client",
    loaded: (client, path) => {
      tellAsked(client, ["queryBuilder", "raw"], parts);
      // Its own pool, which this file has loaded; others may use another one of that package.
      const tarn: unknown = createRequire(path)("tarn");
      if (timeAcquire(tarn, pools, tarnPool, ({ promise }: PendingAcquire) => promise)) contexts.enabled = true;
    },
  });
}
