// A worker thread that ends by itself after as many milliseconds as it is told.
setTimeout(() => {}, require("node:worker_threads").workerData);
