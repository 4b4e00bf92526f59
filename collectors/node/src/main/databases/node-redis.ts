import { type AnyFunction, wrapMethod } from "../module-loads.ts";
import type { DriverParts } from "./driver.ts";
import { call, observed } from "./operations.ts";
import { REDIS, RedisCommands } from "./redis-command.ts";

/** Times every command of `redis` (node-redis 4 and later), also those of pipelines and transactions, at its queue. */
export function followNodeRedis({ loads, contexts, operations }: DriverParts): void {
  const commands = new RedisCommands();
  const timed = (add: AnyFunction): AnyFunction =>
    function (this: unknown, parameters: readonly unknown[], ...rest) {
      const ended = operations.started(
        REDIS,
        () => commands.of(String(parameters[0])),
        () => ({ namespace: undefined, pool: undefined }),
      );
      if (ended === undefined) return add.call(this, parameters, ...rest);
      return call(ended, () => observed(ended, add.call(this, parameters, ...rest)));
    };
  loads.awaitFile({
    within: "@redis/client",
    file: "commands-queue",
    loaded: (exports) => {
      const { default: Queue } = exports as { default?: unknown };
      if (wrapMethod(Queue, "addCommand", timed)) contexts.enabled = true;
    },
  });
}
