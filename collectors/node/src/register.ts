import { start } from "./index.ts";

// Preload: `node --import @tidemark/node/register app.js`, or the same in NODE_OPTIONS. Preloads run in every worker
// thread too, also in the agent's own: start() declines outside the main thread.
try {
  start();
} catch {
  // A wrong setting leaves the application without an agent, never without its start.
}
