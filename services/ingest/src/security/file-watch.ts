import { type Stats, unwatchFile, watchFile } from "node:fs";

const INTERVAL_MS = 1000;

/**
 * Calls `changed` when one of the files was written, replaced or has gone, and returns how to stop. Asks for their status
 * each second: that also sees a file behind a symbolic link that is exchanged, as Kubernetes mounts secrets.
 */
export function watchFiles(paths: readonly string[], changed: () => void, intervalMs = INTERVAL_MS): () => void {
  const listener = (now: Stats, before: Stats) => {
    if (now.mtimeMs !== before.mtimeMs || now.ino !== before.ino || now.size !== before.size) changed();
  };
  for (const path of paths) watchFile(path, { interval: intervalMs, persistent: false }, listener);
  return () => {
    for (const path of paths) unwatchFile(path, listener);
  };
}
