// The same as `--import @tidemark/node/register`, for `--require`: it leaves the way in which the application's first
// file is loaded as it is, which loaders of CommonJS such as ts-node need.
const { isMainThread } = require("node:worker_threads");

try {
  if (isMainThread) require("./dist/index.js").start();
  else require("./dist/threads/thread.js").startInThread();
} catch (error) {
  process.stderr.write(`tidemark: the agent is off: ${error.message}\n`);
}
