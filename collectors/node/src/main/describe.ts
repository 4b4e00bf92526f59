import inspector from "node:inspector";
import { fileURLToPath } from "node:url";
import { monotonicMs } from "../shared/clock.ts";
import type { Description, Frame } from "../shared/description.ts";
import { randomUUID } from "../shared/uuid.ts";

const MAX_FRAMES = 40;

/** What the running code belongs to, and what else is going on. */
export type Surroundings = () => Omit<Description, "atMs" | "frames" | "heldMs">;

/**
 * Puts a function under a random name into the global object, for the agent's thread to call through the inspector
 * while this thread is blocked: it runs as an interrupt on top of the blocked code, so its stack holds the culprit.
 * `seen` is given the frames.
 * Returns the name, and a function that removes it.
 */
export function installDescription(
  surroundings: Surroundings,
  seen: (frames: readonly Frame[]) => readonly Frame[],
): { name: string; remove(): void } {
  const name = `__tidemark_${randomUUID().replaceAll("-", "")}`;
  const describe = (): string => {
    if (isInspected()) return "";
    const atMs = monotonicMs();
    const text = JSON.stringify({ atMs, frames: seen(stack(describe)), ...surroundings() });
    return `${text.slice(0, -1)},"heldMs":${monotonicMs() - atMs}}`;
  };
  Object.defineProperty(globalThis, name, { value: describe, enumerable: false, configurable: true });
  return {
    name,
    remove: () => {
      Reflect.deleteProperty(globalThis, name);
    },
  };
}

/** Whether somebody may be debugging: then the agent stays out of the way. */
export function isInspected(): boolean {
  return inspector.url() !== undefined;
}

/** The frames below `above`, innermost first. The application's own settings for stacks are put back. */
export function stack(above: (...parameters: never[]) => unknown): Frame[] {
  const { prepareStackTrace, stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = MAX_FRAMES;
    Error.prepareStackTrace = (_error, sites) => sites;
    const holder: { stack?: unknown } = {};
    Error.captureStackTrace(holder, above);
    const sites = holder.stack as NodeJS.CallSite[];
    return sites.slice(1).map((site) => ({
      function: [site.isToplevel() ? undefined : site.getTypeName(), site.getFunctionName() ?? "<anonymous>"]
        .filter((part) => part !== undefined && part !== null && part !== "Object")
        .join("."),
      file: pathOf(site.getFileName() ?? site.getEvalOrigin() ?? ""),
      line: site.getLineNumber() ?? 0,
      column: site.getColumnNumber() ?? 0,
      functionLine: site.getEnclosingLineNumber?.() ?? undefined,
      functionColumn: site.getEnclosingColumnNumber?.() ?? undefined,
    }));
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function pathOf(file: string): string {
  return file.startsWith("file://") ? fileURLToPath(file) : file;
}
