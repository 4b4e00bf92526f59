import type { Frame } from "../shared/description.ts";
import type { AgentEvent, Attributes } from "../shared/messages.ts";
import { place, type Victims } from "./stall.ts";

const MS_PER_S = 1000;
const MAX_STACK_CHARACTERS = 4096;
const MAX_ROUTES = 5;

/** What is known of one stall at one moment. Times in milliseconds. */
export interface Finding {
  readonly beginUnixMs: number;
  readonly durationMs: number;
  readonly ended: boolean;
  readonly reason: string;
  readonly late: boolean;
  /** Innermost first. */
  readonly frames: readonly Frame[];
  readonly culprit: Frame | undefined;
  readonly route: string | undefined;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly victims: Victims | undefined;
}

/** What a block is counted by. */
export function culpritAttributes({ reason, late, culprit, route }: Finding): Attributes {
  return {
    ...(route === undefined ? {} : { "http.route": route }),
    ...(culprit === undefined ? {} : { "code.function.name": culprit.function, "code.file.path": culprit.file }),
    "tidemark.stall.late": late,
    "tidemark.stall.reason": reason,
  };
}

/** The event `tidemark.stall`. */
export function stallEvent(finding: Finding): AgentEvent {
  const { culprit, frames, victims } = finding;
  return {
    name: "tidemark.stall",
    timeMs: finding.beginUnixMs,
    body: sentence(finding),
    attributes: {
      "tidemark.resource.kind": "event_loop",
      "tidemark.resource.name": "main",
      "tidemark.stall.duration": finding.durationMs / MS_PER_S,
      "tidemark.stall.ended": finding.ended,
      ...culpritAttributes(finding),
      ...(culprit === undefined ? {} : { "code.line.number": culprit.line }),
      ...(frames.length === 0 ? {} : { "code.stacktrace": folded(frames) }),
      ...(victims === undefined ? {} : victimAttributes(victims)),
    },
    traceId: finding.traceId,
    spanId: finding.spanId,
  };
}

function sentence({ durationMs, ended, reason, frames, culprit, victims }: Finding): string {
  const where =
    reason === "starved"
      ? ": the process got no processor"
      : culprit !== undefined
        ? ` in ${culprit.function} (${place(culprit)})`
        : frames.length === 0
          ? ""
          : " in native code";
  const cost =
    victims === undefined || victims.count === 0
      ? ""
      : `; ${victims.count} other ${victims.count === 1 ? "request" : "requests"} lost ${seconds(victims.lostMs)}`;
  return `event loop blocked for ${seconds(durationMs)}${ended ? "" : " so far"}${where}${cost}`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / MS_PER_S).toFixed(3)} s`;
}

/** Outermost first, as flame graphs want it; a stack that is too long loses its outermost calls. */
function folded(frames: readonly Frame[]): string {
  return frames
    .map((frame) => `${frame.function} (${place(frame)})`)
    .reverse()
    .join(";")
    .slice(-MAX_STACK_CHARACTERS);
}

function victimAttributes({ count, lostMs, routes, oldest }: Victims): Attributes {
  const attributes = { "tidemark.stall.victims": count, "tidemark.stall.victims.lost_time": lostMs / MS_PER_S };
  if (count === 0) return attributes;
  const lost = (ms: number) => Math.round(ms) / MS_PER_S;
  return {
    ...attributes,
    "tidemark.stall.victims.routes": JSON.stringify(
      routes
        .slice(0, MAX_ROUTES)
        .map(({ route, requests, lostMs: ms }) => ({ ...(route === null ? {} : { route }), requests, lost: lost(ms) })),
    ),
    "tidemark.stall.victims.requests": JSON.stringify(
      oldest.map(({ method, route, traceId, lostMs: ms }) => ({ method, route, trace_id: traceId, lost: lost(ms) })),
    ),
  };
}
