import type { MessagePort } from "node:worker_threads";
import type { Identity } from "../identity.ts";
import type { AgentOptions } from "../options.ts";
import type { ThreadNews } from "../threads/messages.ts";
import type { Frame } from "./description.ts";
import type { PlainSpan } from "./span.ts";

export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** `value`: one number that the application thread adds to or sets; `sampled`: sum, count and maximum of an interval. */
export type SeriesForm = "histogram" | "value" | "sampled";

/** What may tell of a call site among its attributes. */
export interface Sited {
  readonly attributes: Attributes;
  /** The site's frames, innermost first, for their source map. */
  readonly site?: readonly Frame[] | undefined;
}

/** One series that the application thread writes in shared memory and the worker exports. */
export interface SeriesDefinition extends Sited {
  readonly metric: string;
  readonly form: SeriesForm;
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
}

/** Names of the heap spaces, in the order of the shared numbers. */
export interface HeapSpaces {
  readonly heapSpaces: readonly string[];
}

export type MessageToWorker =
  | { readonly series: SeriesDefinition }
  | HeapSpaces
  | { readonly flush: true }
  | { readonly event: AgentEvent }
  | { readonly thread: ThreadNews }
  | { readonly profiled: readonly Frame[] }
  | { readonly compiled: CompiledMap }
  | { readonly spans: readonly PlainSpan[] };

/** The source map of a file that was compiled in memory: its text, or a `data:` URL. */
export interface CompiledMap {
  readonly file: string;
  readonly map: string;
}

/** What ran between two moments of the monotonic clock, in milliseconds? */
export interface ProfileQuestion {
  readonly fromMs: number;
  readonly toMs: number;
}

/** An event for the logs, from either thread. */
export interface AgentEvent extends Sited {
  readonly name: string;
  readonly timeMs: number;
  readonly body: string;
  readonly traceId?: string | undefined;
  readonly spanId?: string | undefined;
}

export interface WorkerData {
  readonly tidemarkAgent: true;
  readonly control: SharedArrayBuffer;
  readonly probes: MessagePort;
  readonly options: AgentOptions;
  readonly identity: Identity;
  readonly threadPoolSize: number;
  readonly series: readonly SeriesDefinition[];
  readonly heapSpaces: readonly string[];
  /** Name of the function in the application's global object that describes what it is doing. */
  readonly describe: string;
  /** Whether the process may use its inspector. */
  readonly mayInspect: boolean;
}
