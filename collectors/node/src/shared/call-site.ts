import { relative } from "node:path";
import type { Frame } from "./description.ts";

/** Where the application asks for something. */
export interface CallSite {
  /** By the code that runs: `dist/server.js:12 loadLines`. */
  readonly text: string;
  /** Its frame and those below it, as far as they are the application's, for the source map. */
  readonly frames: readonly Frame[];
}

/** `src/orders.js:12 loadLines`, with the path from the working directory. */
export function siteText({ file, line, function: name }: Frame): string {
  return `${relative(process.cwd(), file)}:${line} ${name}`.trim();
}

/** Whether a file is neither a package's nor Node's own. */
export function isApplications({ file }: Frame): boolean {
  return file !== "" && !file.startsWith("node:") && !/[\\/]node_modules[\\/]/.test(file);
}
