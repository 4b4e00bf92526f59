// Preload: a worker thread that does nothing, with the bounds of the agent's. What any agent with a thread of its own costs.
import { isMainThread, Worker } from "node:worker_threads";

const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 1 };
if (isMainThread) new Worker("setInterval(() => {}, 60_000)", { eval: true, execArgv: [], resourceLimits }).unref();
