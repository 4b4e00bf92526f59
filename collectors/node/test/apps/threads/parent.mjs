// A worker thread that starts another one.
import { Worker } from "node:worker_threads";

new Worker(new URL("idle.mjs", import.meta.url));
setInterval(() => {}, 1000);
