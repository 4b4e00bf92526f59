import type { Control } from "../../shared/control.ts";
import type { ModuleLoads } from "../module-loads.ts";
import type { RequestContexts } from "../request-context.ts";
import type { SeriesTable } from "../series.ts";
import { followIoredis } from "./ioredis.ts";
import { followKnex } from "./knex.ts";
import { followMongodb } from "./mongodb.ts";
import { followMysql2 } from "./mysql2.ts";
import { followNodeRedis } from "./node-redis.ts";
import { Operations } from "./operations.ts";
import { followPg } from "./pg.ts";
import { Pools } from "./pool.ts";
import { followSequelize } from "./sequelize.ts";

/** Waits for the database drivers that the application loads, and times what it does with them. */
export function followDatabases(
  loads: ModuleLoads,
  series: SeriesTable,
  control: Control,
  contexts: RequestContexts,
): Pools {
  const pools = new Pools(series, control, contexts);
  const parts = { loads, contexts, pools, operations: new Operations(series, control, contexts) };
  const every = [followPg, followMysql2, followKnex, followSequelize, followMongodb, followIoredis, followNodeRedis];
  for (const follow of every) follow(parts);
  return pools;
}
