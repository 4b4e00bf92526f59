import { createRequire, isBuiltin } from "node:module";
import { join } from "node:path";
import type { ModuleLoads } from "../main/module-loads.ts";

const require = createRequire(import.meta.url);

/** Gives what a package is to export instead. `baseDir` is its folder; a part of Node.js has none. */
type OnRequire = (exports: unknown, name: string, baseDir: string | undefined) => unknown;
interface RequireHook {
  register(moduleName: string, onRequire: OnRequire): unknown;
}

/**
 * Has the instrumentations that `make` makes told of loaded files by `loads`. By themselves they wrap `require`, which
 * puts two frames into the stack of whatever is thrown while a file is loaded. Those of the application keep their hook.
 */
export function withoutRequireHook<Made>(loads: ModuleLoads, make: () => Made): Made {
  const { RequireInTheMiddleSingleton: holder } =
    require("@opentelemetry/instrumentation/build/src/platform/node/RequireInTheMiddleSingleton.js") as {
      RequireInTheMiddleSingleton: { _instance: RequireHook | undefined };
    };
  const theirs = holder._instance;
  holder._instance = hookOf(loads);
  try {
    return make();
  } finally {
    holder._instance = theirs;
  }
}

function hookOf(loads: ModuleLoads): RequireHook {
  const mains = new Map<string, string>();
  return {
    register(moduleName, onRequire) {
      // What is patched of Node.js is patched in place.
      if (isBuiltin(moduleName)) onRequire(require(moduleName), moduleName, undefined);
      else {
        loads.replaceExports(moduleName, (exports, { folder, inPackage }) => {
          const main = mains.get(folder) ?? mainOf(moduleName, folder);
          mains.set(folder, main);
          const isMain = join(folder, inPackage) === main;
          return onRequire(exports, isMain ? moduleName : join(moduleName, inPackage), folder);
        });
      }
      return { moduleName, onRequire };
    },
  };
}

/** The file that a package is required by; empty where there is none. */
function mainOf(name: string, folder: string): string {
  try {
    return createRequire(join(folder, "package.json")).resolve(name);
  } catch {
    return "";
  }
}
