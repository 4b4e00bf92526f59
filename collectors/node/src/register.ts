import { isMainThread } from "node:worker_threads";

// Preload: `node --import @tidemark/node/register app.js`, or the same in NODE_OPTIONS. Preloads run in every worker
// thread too; there the agent has only a small part.
try {
  // Imported here, so that a broken installation of the agent is caught as well.
  if (isMainThread) (await import("./index.ts")).start();
  else (await import("./threads/thread.ts")).startInThread();
} catch (error) {
  // A wrong setting leaves the application without an agent, never without its start; it is said once.
  process.stderr.write(`tidemark: the agent is off: ${(error as Error).message}\n`);
}
