import type { DriverParts } from "./driver.ts";
import { type PoolKind, timeAcquire } from "./pool.ts";

interface SequelizePool {
  readonly name?: string;
  readonly maxSize: number;
  readonly using: number;
  readonly available: number;
  readonly waiting: number;
  readonly _draining?: boolean;
}

/** Of which database its connections are it does not know; with replication there is one for reading and one for writing. */
const sequelizePool: PoolKind<SequelizePool> = {
  system: "other_sql",
  name: (pool) => pool.name ?? "sequelize",
  state: (pool) => ({
    capacity: pool.maxSize,
    used: pool.using,
    idle: pool.available,
    waiting: pool.waiting,
    ended: pool._draining === true && pool.using === 0,
  }),
};

/** Times every wait for a connection of sequelize, whose pool is `sequelize-pool` and not the driver's own; its statements are timed in the driver. */
export function followSequelize({ loads, contexts, pools }: DriverParts): void {
  loads.awaitFile({
    within: "sequelize-pool",
    file: "Pool",
    loaded: (exports) => {
      const acquired = (pending: Promise<unknown>) => pending;
      if (timeAcquire(exports, pools, sequelizePool, acquired)) contexts.enabled = true;
    },
  });
}
