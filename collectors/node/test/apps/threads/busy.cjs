// A worker thread that blocks its event loop for 150 ms of each 200, and makes garbage.
setInterval(() => {
  const end = performance.now() + 150;
  while (performance.now() < end) JSON.parse("[1,2,3]");
}, 200);
