import { type AnyFunction, wrapMethod } from "../module-loads.ts";
import type { DriverParts } from "./driver.ts";
import { REDIS, RedisCommands } from "./redis-command.ts";

const kTimed = Symbol("tidemark.timed");

interface Command {
  readonly name: string;
  resolve?: AnyFunction;
  reject?: AnyFunction;
  [kTimed]?: boolean;
}

/**
 * Times every command of `ioredis`. Not by its tracing channel: with a subscriber, a command whose failure nobody
 * handles would no longer end the process.
 */
export function followIoredis({ loads, contexts, operations }: DriverParts): void {
  const commands = new RedisCommands();
  const timed = (send: AnyFunction): AnyFunction =>
    function (this: unknown, command: Command, ...rest) {
      // Commands are sent again after a reconnect.
      if (typeof command?.name === "string" && command[kTimed] !== true) {
        const { resolve, reject } = command;
        const ended = operations.started(
          REDIS,
          () => commands.of(command.name),
          () => ({ namespace: undefined, pool: undefined }),
        );
        if (ended !== undefined && typeof resolve === "function" && typeof reject === "function") {
          command[kTimed] = true;
          command.resolve = (...values) => {
            ended();
            return resolve.apply(command, values);
          };
          command.reject = (error) => {
            ended(error);
            return reject.call(command, error);
          };
        }
      }
      return send.call(this, command, ...rest);
    };
  for (const file of ["Redis", "redis"]) {
    loads.awaitFile({
      within: "ioredis",
      file,
      loaded: (exports) => {
        const { default: Redis } = exports as { default?: unknown };
        if (wrapMethod(Redis, "sendCommand", timed)) contexts.enabled = true;
      },
    });
  }
}
