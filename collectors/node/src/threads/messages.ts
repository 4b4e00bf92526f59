import type { SeriesDefinition } from "../shared/messages.ts";

/** Name of the channel on which the threads of this process and the agent find each other. */
export const registryName = (): string => `tidemark.${process.pid}`;

/** Name of the channel between the agent and one thread. */
export const threadChannelName = (threadId: number): string => `tidemark.${process.pid}.${threadId}`;

/** A thread of the application that runs the agent's preload. */
export interface ThreadIntroduction {
  readonly threadId: number;
  /** Its name, or that of its file. */
  readonly name: string;
  readonly control: SharedArrayBuffer;
  readonly series: readonly SeriesDefinition[];
  /** The threads that it started. */
  readonly children: readonly number[];
}

/** What a thread tells about those it started; threads that end cannot do so themselves when they are terminated. */
export type ThreadNews =
  | { readonly child: number; readonly parent: number }
  /** The thread has ended. */
  | { readonly ended: number };

/** On the registry. `roll`: the agent asks who is there; `stop`: it goes. */
export type RegistryMessage = ThreadNews | { readonly hello: ThreadIntroduction } | { readonly ask: "roll" | "stop" };

/** From the agent to one thread: the number of a probe, or that the thread is one of those that are measured. */
export type ToThread = number | { readonly welcome: true };

/** From a thread to the agent. */
export interface FromThread {
  readonly series: SeriesDefinition;
}
