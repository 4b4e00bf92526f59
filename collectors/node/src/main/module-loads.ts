import Module from "node:module";
import { sep } from "node:path";
import type { Control } from "../shared/control.ts";

// biome-ignore lint/suspicious/noExplicitAny: a module's functions are wrapped as they are
export type AnyFunction = (this: any, ...parameters: any[]) => any;

const OWN_KINDS = new Set([".js", ".json", ".node"]);
/** Name of the function that Node.js 22.18 and 24 load TypeScript with. */
const OWN_TYPESCRIPT = "loadTS";

/** A CommonJS file of a package that the agent waits for. */
export interface AwaitedFile {
  /** Package whose file asks for it. */
  readonly within: string;
  /** Last part of what is asked for, without `.js`: `connection` for `require("./base/connection.js")`. */
  readonly file: string;
  /** Called with what the file exports, each time it is asked for. */
  loaded(exports: unknown): void;
}

/**
 * Sees each module that `require` loads, from an application of CommonJS or of ES modules: packages reach their own
 * CommonJS files by `require` in both. Most calls cost one look-up in a map.
 */
export class ModuleLoads {
  readonly #control: Control;
  readonly #files = new Map<string, { readonly folder: string; readonly loaded: (exports: unknown) => void }[]>();
  readonly #packages = new Map<string, (from: string | undefined) => void>();
  #beforeCompilation: (() => void) | undefined;

  constructor(control: Control) {
    this.#control = control;
  }

  awaitFile({ within, file, loaded }: AwaitedFile): void {
    const others = this.#files.get(file) ?? [];
    others.push({ folder: [`${sep}node_modules`, ...within.split("/"), ""].join(sep), loaded });
    this.#files.set(file, others);
  }

  /** Calls once, before the package's first file is loaded, with the path of the file that asks for it. */
  beforePackage(name: string, call: (from: string | undefined) => void): void {
    this.#packages.set(name, call);
  }

  /** Calls once, before the next module is loaded after something has set up a loader that compiles files. */
  beforeCompilation(call: () => void): void {
    this.#beforeCompilation = call;
  }

  /** Starts to look; returns a function that stops it. */
  start(): () => void {
    const loader = Module as unknown as { _load: AnyFunction };
    const load = loader._load;
    const loads = this;
    const patched: AnyFunction = function (request: string, parent, ...rest) {
      loads.#quietly(() => loads.#before(request, parent?.filename));
      const exports = load.call(this, request, parent, ...rest);
      loads.#quietly(() => loads.#after(request, parent?.filename, exports));
      return exports;
    };
    loader._load = patched;
    return () => {
      if (loader._load === patched) loader._load = load;
    };
  }

  #quietly(body: () => void): void {
    try {
      body();
    } catch {
      this.#control.countError();
    }
  }

  #before(request: string, from: string | undefined): void {
    if (this.#beforeCompilation !== undefined && hasCompiler()) {
      this.#beforeCompilation();
      this.#beforeCompilation = undefined;
    }
    if (this.#packages.size === 0 || request.startsWith(".")) return;
    const name = packageOf(request);
    const call = this.#packages.get(name);
    if (call === undefined) return;
    this.#packages.delete(name);
    call(from);
  }

  #after(request: string, from: string | undefined, exports: unknown): void {
    const last = request.slice(request.lastIndexOf("/") + 1);
    const awaited = this.#files.get(last.endsWith(".js") ? last.slice(0, -3) : last);
    if (awaited === undefined || from === undefined) return;
    for (const { folder, loaded } of awaited) if (from.includes(folder)) loaded(exports);
  }
}

/** Whether files of other kinds than Node's own may be required. Those of TypeScript keep their lines under Node itself. */
function hasCompiler(): boolean {
  const { _extensions: kinds } = Module as unknown as { _extensions: Record<string, AnyFunction> };
  for (const kind in kinds) if (!OWN_KINDS.has(kind) && kinds[kind]?.name !== OWN_TYPESCRIPT) return true;
  return false;
}

/** `@nestjs/core` of `@nestjs/core/router` and of a path below `node_modules`. */
function packageOf(request: string): string {
  const folder = `node_modules${sep}`;
  const at = request.lastIndexOf(folder);
  const parts = (at < 0 ? request : request.slice(at + folder.length)).split(at < 0 ? "/" : sep);
  return parts[0]?.startsWith("@") === true ? `${parts[0]}/${parts[1]}` : (parts[0] ?? "");
}

const kWrapped = Symbol.for("tidemark.wrapped");

/** Replaces a method of a class by what `wrapper` makes of it, once; nothing when the class has no such method itself. */
export function wrapMethod(owner: unknown, name: string, wrapper: (original: AnyFunction) => AnyFunction): boolean {
  const prototype = (owner as { prototype?: Record<string, AnyFunction & { [kWrapped]?: boolean }> })?.prototype;
  if (prototype === undefined || !Object.hasOwn(prototype, name)) return false;
  const original = prototype[name];
  if (typeof original !== "function" || original[kWrapped] === true) return false;
  const wrapped = wrapper(original) as AnyFunction & { [kWrapped]?: boolean };
  wrapped[kWrapped] = true;
  prototype[name] = wrapped;
  return true;
}
