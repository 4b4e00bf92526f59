import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { threadId, type Worker } from "node:worker_threads";
import type { Guard } from "../main/guard.ts";
import type { ThreadNews } from "./messages.ts";

/** Follows the threads that this one starts, from Node's diagnostics channel. Returns a function that stops it. */
export function followThreads(guard: Guard, tell: (news: ThreadNews) => void): () => void {
  const started = guard((message: unknown) => {
    const { worker } = message as { worker: Worker };
    const child = worker.threadId; // it has none any more when it has ended
    tell({ child, parent: threadId });
    worker.once(
      "exit",
      guard(() => tell({ ended: child })),
    );
  });
  subscribe("worker_threads", started);
  return () => void unsubscribe("worker_threads", started);
}
