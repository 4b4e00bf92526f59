import type { System } from "./operations.ts";
import { type Statement, Statements } from "./statement.ts";

export const REDIS: System = { name: "redis", cache: true };

/** Commands of Redis by their name alone: keys and values never leave the process. */
export class RedisCommands {
  readonly #statements = new Statements("standard");

  of(name: string): Statement {
    return this.#statements.keyed(name, () => {
      const operation = name.toUpperCase();
      return { text: undefined, operation, summary: operation };
    });
  }
}
