import Module from "node:module";
import { sep } from "node:path";
import type { Control } from "../shared/control.ts";

// biome-ignore lint/suspicious/noExplicitAny: a module's functions are wrapped as they are
export type AnyFunction = (this: any, ...parameters: any[]) => any;

const PACKAGES = `${sep}node_modules${sep}`;
const OWN_KINDS = new Set([".js", ".json", ".node"]);
/** Name of the function that Node.js 22.18 and 24 load TypeScript with. */
const OWN_TYPESCRIPT = "loadTS";

/** A CommonJS file of a package that the agent waits for. */
export interface AwaitedFile {
  /** Package it is part of. */
  readonly within: string;
  /** Its name without `.js`: `connection` for `lib/base/connection.js`. For an `index.js` that of its folder. */
  readonly file: string;
  /** Called with what the file exports, and its path, once it has run. */
  loaded(exports: unknown, path: string): void;
}

/** Gives what a file of a package is to export instead of what it exports. `inPackage` is its path in the package's folder. */
export type Replace = (exports: unknown, file: { readonly folder: string; readonly inPackage: string }) => unknown;

/** What Node.js makes of each CommonJS file, just before it runs it. */
interface LoadedModule {
  readonly id?: unknown;
  exports: unknown;
}
interface PackageFile {
  readonly name: string;
  readonly folder: string;
  readonly inPackage: string;
}

/**
 * Sees each CommonJS file that is loaded, by `require` or by `import`. Nothing of it is on the stack while a file runs,
 * so that what is thrown meanwhile has the stack that it would have without the agent: the files are seen where
 * Node.js notes of a new module that it is not `loaded` yet, and those that are waited for where it notes that they are.
 */
export class ModuleLoads {
  readonly #control: Control;
  readonly #files = new Map<string, AwaitedFile[]>();
  readonly #packages = new Map<string, (path: string) => void>();
  readonly #replacements = new Map<string, Replace[]>();
  #beforeCompilation: (() => void) | undefined;

  constructor(control: Control) {
    this.#control = control;
  }

  awaitFile(file: AwaitedFile): void {
    this.#files.set(file.within, [...(this.#files.get(file.within) ?? []), file]);
  }

  /** Calls once, before the package's first file is loaded, with the path of that file. */
  beforePackage(name: string, call: (path: string) => void): void {
    this.#packages.set(name, call);
  }

  /** Has the files of a package export something else, from the next one on that is loaded. */
  replaceExports(name: string, replace: Replace): void {
    this.#replacements.set(name, [...(this.#replacements.get(name) ?? []), replace]);
  }

  /** Calls once, before the next file is loaded after something has set up a loader that compiles files. */
  beforeCompilation(call: () => void): void {
    this.#beforeCompilation = call;
  }

  /** Starts to look; returns a function that stops it. */
  start(): () => void {
    const loads = this;
    const prototype = Module.prototype as { loaded?: unknown };
    Object.defineProperty(prototype, NOTE, {
      configurable: true,
      set(this: LoadedModule, loaded: unknown) {
        note(this, loaded);
        loads.#quietly(() => loads.#begins(this));
      },
    });
    return () => void delete prototype[NOTE];
  }

  #quietly(body: () => void): void {
    try {
      body();
    } catch {
      this.#control.countError();
    }
  }

  #begins(module: LoadedModule): void {
    if (this.#beforeCompilation !== undefined && hasCompiler()) {
      this.#beforeCompilation();
      this.#beforeCompilation = undefined;
    }
    const path = module.id;
    const file = typeof path === "string" ? packageFile(path) : undefined;
    if (file === undefined) return;
    const call = this.#packages.get(file.name);
    this.#packages.delete(file.name);
    if (call !== undefined) this.#quietly(() => call(path as string));
    if (this.#files.has(file.name) || this.#replacements.has(file.name)) this.#await(module, path as string, file);
  }

  #await(module: LoadedModule, path: string, file: PackageFile): void {
    let present: unknown = false;
    Object.defineProperty(module, NOTE, {
      configurable: true,
      enumerable: true,
      get: () => present,
      set: (loaded: unknown) => {
        present = loaded;
        if (loaded !== true) return;
        note(module, loaded);
        this.#quietly(() => this.#ended(module, path, file));
      },
    });
  }

  #ended(module: LoadedModule, path: string, { name, folder, inPackage }: PackageFile): void {
    const last = lastName(path);
    for (const { file, loaded } of this.#files.get(name) ?? []) {
      if (file === last) this.#quietly(() => loaded(module.exports, path));
    }
    for (const replace of this.#replacements.get(name) ?? []) {
      this.#quietly(() => {
        module.exports = replace(module.exports, { folder, inPackage });
      });
    }
  }
}

/** Where Node.js notes whether a module's file has run. Source: its documentation, `module.loaded`. */
const NOTE = "loaded";

/** As Node.js itself notes it. */
function note(module: LoadedModule, loaded: unknown): void {
  Object.defineProperty(module, NOTE, { value: loaded, writable: true, enumerable: true, configurable: true });
}

/** Whether files of other kinds than Node's own may be required. Those of TypeScript keep their lines under Node itself. */
function hasCompiler(): boolean {
  const { _extensions: kinds } = Module as unknown as { _extensions: Record<string, AnyFunction> };
  for (const kind in kinds) if (!OWN_KINDS.has(kind) && kinds[kind]?.name !== OWN_TYPESCRIPT) return true;
  return false;
}

/** Of a path below `node_modules`: `@nestjs/core`, its folder, and `router/index.js` in it. */
function packageFile(path: string): PackageFile | undefined {
  const at = path.lastIndexOf(PACKAGES);
  if (at < 0) return undefined;
  const begin = at + PACKAGES.length;
  let end = path.indexOf(sep, begin);
  if (path[begin] === "@" && end > 0) end = path.indexOf(sep, end + 1);
  if (end < 0) return undefined;
  const name = path.slice(begin, end);
  return {
    name: sep === "/" ? name : name.replace(sep, "/"),
    folder: path.slice(0, end),
    inPackage: path.slice(end + 1),
  };
}

function lastName(path: string): string {
  const named = path.replace(/\.js$/, "").replace(/[\\/]index$/, "");
  return named.slice(named.lastIndexOf(sep) + 1);
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
