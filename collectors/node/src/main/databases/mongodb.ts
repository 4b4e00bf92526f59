import { type AnyFunction, wrapMethod } from "../module-loads.ts";
import { callbackWith, type DriverParts } from "./driver.ts";
import { call, observed, type System } from "./operations.ts";
import { type Statement, Statements } from "./statement.ts";

const MONGODB: System = { name: "mongodb", cache: false };
const MAX_FIELDS = 10;
/** What connections say to each other, not what the application asks. */
const INTERNAL = new Set(["hello", "ismaster", "isMaster", "saslStart", "saslContinue"]);

type Document = Readonly<Record<string, unknown>>;
interface Namespace {
  readonly db?: string;
}

/** Times every command of `mongodb` 4 and later at its connection: cursors, sessions and mongoose end there. */
export function followMongodb({ loads, contexts, operations }: DriverParts): void {
  const statements = new Statements("standard");
  const timed = (command: AnyFunction): AnyFunction => {
    // Up to 6.3 it takes a callback; since then its fourth parameter is the class of the answer.
    const promises = command.constructor.name === "AsyncFunction";
    return function (this: unknown, namespace: Namespace, document: Document, options, last) {
      const operation = firstKey(document);
      const ended =
        operation === undefined || INTERNAL.has(operation)
          ? undefined
          : operations.started(
              MONGODB,
              () => describe(operation, document, statements),
              () => ({ namespace: namespace?.db, pool: undefined }),
            );
      if (ended === undefined) return command.call(this, namespace, document, options, last);
      return call(ended, () => {
        if (promises) return observed(ended, command.call(this, namespace, document, options, last));
        return command.call(this, namespace, document, options, callbackWith(contexts, last, ended));
      });
    };
  };
  loads.awaitFile({
    within: "mongodb",
    file: "connection",
    loaded: (exports) => {
      const { Connection } = exports as { Connection?: unknown };
      if (wrapMethod(Connection, "command", timed)) contexts.enabled = true;
    },
  });
}

/** `find books` with the fields it looks for: commands that ask for something else are told apart, values are not read. */
function describe(operation: string, document: Document, statements: Statements): Statement {
  const target = operation === "getMore" ? document.collection : document[operation];
  const summary = typeof target === "string" ? `${operation} ${target}` : operation;
  const fields = fieldsOf(document);
  return statements.keyed(`${summary}\n${fields}`, () => ({
    text: fields === "" ? summary : `${summary} {${fields}}`,
    operation,
    summary,
  }));
}

function fieldsOf(document: Document): string {
  if (Array.isArray(document.pipeline)) return document.pipeline.slice(0, MAX_FIELDS).map(firstKey).join(",");
  const first = (list: unknown) => (Array.isArray(list) ? (list[0] as Document | undefined)?.q : undefined);
  const filter = document.filter ?? document.query ?? first(document.updates) ?? first(document.deletes);
  return typeof filter === "object" && filter !== null ? Object.keys(filter).slice(0, MAX_FIELDS).join(",") : "";
}

function firstKey(document: unknown): string | undefined {
  for (const key in document as Document) return key;
  return undefined;
}
