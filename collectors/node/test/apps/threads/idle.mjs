// A worker thread that has nothing to do.
setInterval(() => {}, 1000);
