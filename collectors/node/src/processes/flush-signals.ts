/** Signals whose default is to end the process, and for which a last export makes sense. */
export const FLUSH_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
export type FlushSignal = (typeof FLUSH_SIGNALS)[number];

/**
 * Sends the last numbers when one of these signals would end the process, and then lets it. Only where the
 * application has no listener of its own: with one, it decides how it ends. A blocked event loop ends when it is no
 * longer blocked, as with any listener; so this is not on by default. Returns a function that stops it.
 */
export function flushOnSignals(signals: readonly FlushSignal[], flush: () => void): () => void {
  const stops = signals.map((signal) => {
    const onSignal = () => {
      stop();
      flush();
      process.kill(process.pid, signal); // now by its default
    };
    // Not at once: where ours were the last one, Node.js would stop listening for the signal, and not begin again.
    const yieldTo = () => {
      if (process.listenerCount(signal) > 1) process.removeListener(signal, onSignal);
    };
    const onNew = (event: string | symbol, listener: unknown) => {
      if (event === signal && listener !== onSignal) process.nextTick(yieldTo);
    };
    const onRemoved = (event: string | symbol, listener: unknown) => {
      if (event === signal && listener !== onSignal && process.listenerCount(signal) === 0)
        process.on(signal, onSignal);
    };
    const stop = () => {
      process.removeListener("newListener", onNew);
      process.removeListener("removeListener", onRemoved);
      process.removeListener(signal, onSignal);
    };
    if (process.listenerCount(signal) === 0) process.on(signal, onSignal);
    process.on("newListener", onNew);
    process.on("removeListener", onRemoved);
    return stop;
  });
  return () => {
    for (const stop of stops) stop();
  };
}
