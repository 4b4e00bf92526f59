import { readdirSync, readFileSync } from "node:fs";

const BYTES_PER_KB = 1024;
const ANONYMOUS_KB = /^RssAnon:\s+(\d+)/m;
const THREADS = /^Threads:\s+(\d+)/m;

export interface ProcessStatus {
  /** Resident anonymous memory in bytes. */
  readonly anonymous: number | undefined;
  readonly threads: number | undefined;
}

/** What Linux says about this process; absent elsewhere. Source: proc_pid_status(5). */
export function processStatus(): ProcessStatus {
  try {
    const text = readFileSync("/proc/self/status", "utf8");
    const field = (pattern: RegExp) => {
      const found = pattern.exec(text)?.[1];
      return found === undefined ? undefined : Number(found);
    };
    const anonymousKb = field(ANONYMOUS_KB);
    return {
      anonymous: anonymousKb === undefined ? undefined : anonymousKb * BYTES_PER_KB,
      threads: field(THREADS),
    };
  } catch {
    return { anonymous: undefined, threads: undefined };
  }
}

/** Open file descriptors of this process; undefined where that cannot be listed. */
export function openFileDescriptors(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length - 1; // the listing's own
  } catch {
    return undefined;
  }
}
