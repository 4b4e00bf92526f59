import Module, { findSourceMap } from "node:module";
import type { Control } from "../shared/control.ts";
import type { Frame } from "../shared/description.ts";
import type { CompiledMap } from "../shared/messages.ts";
import type { AnyFunction, ModuleLoads } from "./module-loads.ts";

const MAX_FILES = 10_000;
/** Files that Node.js loads as they are; a map of theirs is where the file says. */
const AS_THEY_ARE = /\.[cm]?js$/;
const MARK = "//# sourceMappingURL=data:";

/**
 * Source maps of files that a loader compiles while it loads them: they are in no file. CommonJS is seen as it is
 * compiled (ts-node, esbuild-register, swc-node, tsx); what is kept of it is a part of the text that V8 keeps. Of ES
 * modules Node.js has the map where its source maps are on (tsx, `--enable-source-maps`).
 */
export class CompiledMaps {
  readonly #control: Control;
  readonly #tell: (map: CompiledMap) => void;
  readonly #urls = new Map<string, string>();
  readonly #told = new Set<string>();

  constructor(control: Control, tell: (map: CompiledMap) => void) {
    this.#control = control;
    this.#tell = tell;
  }

  /** Looks at what is compiled once a loader is there, so that other applications' stacks have no frame more. */
  start(loads: ModuleLoads): () => void {
    let stop = () => {};
    loads.beforeCompilation(() => {
      stop = this.#watch();
    });
    return () => stop();
  }

  /** Tells the maps of the frames' files, each file once. Never throws. */
  told(frames: readonly Frame[]): readonly Frame[] {
    for (const { file } of frames) {
      if (this.#told.has(file) || this.#told.size >= MAX_FILES) continue;
      this.#told.add(file);
      try {
        const map = this.#urls.get(file) ?? mapOfNode(file);
        if (map !== undefined) this.#tell({ file, map });
      } catch {
        this.#control.countError();
      }
    }
    return frames;
  }

  #watch(): () => void {
    const { prototype } = Module as unknown as { prototype: { _compile: AnyFunction } };
    const compile = prototype._compile;
    const maps = this;
    const patched: AnyFunction = function (content: unknown, file: unknown, ...rest) {
      if (typeof content === "string" && typeof file === "string") maps.#see(content, file);
      return compile.call(this, content, file, ...rest);
    };
    prototype._compile = patched;
    return () => {
      if (prototype._compile === patched) prototype._compile = compile;
    };
  }

  #see(content: string, file: string): void {
    const lastLine = content.lastIndexOf("\n", content.length - 2) + 1;
    if (content.startsWith(MARK, lastLine) && this.#urls.size < MAX_FILES) {
      this.#urls.set(file, content.slice(lastLine + MARK.length - "data:".length).trimEnd());
    }
  }
}

function mapOfNode(file: string): string | undefined {
  if (AS_THEY_ARE.test(file) || file.startsWith("node:")) return undefined;
  const payload = findSourceMap(file)?.payload;
  return payload === undefined ? undefined : JSON.stringify({ ...payload, sourcesContent: [] });
}
