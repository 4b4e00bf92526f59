// Preload: `node --import @tidemark/node/register app.js`, or the same in NODE_OPTIONS. Preloads run in every worker
// thread too, also in the agent's own: start() declines outside the main thread.
try {
  // Imported here, so that a broken installation of the agent is caught as well.
  const { start } = await import("./index.ts");
  start();
} catch (error) {
  // A wrong setting leaves the application without an agent, never without its start; it is said once.
  process.stderr.write(`tidemark: the agent is off: ${(error as Error).message}\n`);
}
