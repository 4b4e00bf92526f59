import type { Control } from "../../shared/control.ts";
import type { RequestContexts } from "../request-context.ts";

/** Where each operation of Prisma's client looks for what traces it. Source: `@prisma/instrumentation-contract` 7. */
const KEY = "V7_PRISMA_INSTRUMENTATION";
/** The span around what the application asked for; further ones are of its parts. */
const OPERATION = "operation";
const NO_PARENT = "00-10-10-00";

type Run = (...parameters: unknown[]) => unknown;
interface TracingHelper {
  isEnabled(): boolean;
  getTraceParent(...parameters: unknown[]): string;
  dispatchEngineSpans(...parameters: unknown[]): void;
  getActiveContext(): unknown;
  runInChildSpan(span: string | { readonly name: string }, run: Run): unknown;
}
interface Instrumented {
  readonly helper?: TracingHelper;
}

/**
 * Tells a request where the application awaits an operation of Prisma's client. What the client runs is off the
 * application's stack, as it gathers what is asked for within one tick; where the answer arrives, V8 knows who awaits
 * it. Only while a request looks for such a place; all else is left to the application's own instrumentation, if any.
 * Returns a function that stops it.
 */
export function followPrisma(contexts: RequestContexts, control: Control): () => void {
  const holder = globalThis as { [KEY]?: Instrumented | undefined };
  let own = holder[KEY];
  const arrived = () => {
    try {
      contexts.current?.answered();
    } catch {
      control.countError();
    }
  };
  const looking: Instrumented = { helper: lookingHelper(arrived, () => own?.helper) };
  Object.defineProperty(globalThis, KEY, {
    configurable: true,
    enumerable: false,
    get: () => (contexts.current?.looksForEntry ? looking : own),
    set: (value: Instrumented | undefined) => {
      own = value;
    },
  });
  return () => {
    delete holder[KEY];
    if (own !== undefined) holder[KEY] = own;
  };
}

function lookingHelper(arrived: () => void, own: () => TracingHelper | undefined): TracingHelper {
  return {
    isEnabled: () => own()?.isEnabled() ?? false,
    getTraceParent: (...parameters) => own()?.getTraceParent(...parameters) ?? NO_PARENT,
    dispatchEngineSpans: (...parameters) => own()?.dispatchEngineSpans(...parameters),
    getActiveContext: () => own()?.getActiveContext(),
    runInChildSpan: (span, run) => {
      const helper = own();
      const result = helper === undefined ? run() : helper.runInChildSpan(span, run);
      const name = typeof span === "string" ? span : span.name;
      return name === OPERATION && result instanceof Promise ? seen(result, arrived) : result;
    },
  };
}

async function seen(operation: Promise<unknown>, arrived: () => void): Promise<unknown> {
  try {
    return await operation;
  } finally {
    arrived();
  }
}
