/** The demo's services as the load generator sees them. */
export type Target = "node" | "django" | "asgi";

/** Requests that arrive at a target whether or not it keeps up. */
export interface Stream {
  path: string;
  method?: "GET" | "POST";
  body?: string;
  targets: Target[];
  /** Arrivals per second at each target, at random times. */
  ratePerSecond?: number;
  /** Instead of a rate: `size` requests at the same moment, every so many seconds; the targets take turns. */
  burst?: { size: number; everySeconds: number };
  /**
   * Brake for work that is dear to the processor: with so many unanswered at one target, further arrivals are shed and
   * counted, so that a slow or busy machine does not carry one phase's queue through all that follow. Default none.
   */
  maxUnanswered?: number;
  /** Share of the phase after which it stops, so that a queue drains before the next phase; default 1. */
  until?: number;
}

export interface Phase {
  /** Short and stable, for machines. */
  name: string;
  /** For people: the annotation's title. */
  title: string;
  /** What to look at. */
  text: string;
  seconds: number;
  streams: Stream[];
  /** WebSockets opened one after the other at each target, over the first part of the phase. */
  sockets?: { perTarget: number; targets: Target[]; messagesPerSecondEach: number };
}

/** Length of the whole story as written below, in seconds. */
export const STORY_SECONDS = 120;
/** Below this a phase is too short to show anything: connections, pools and caches are still warming up. */
export const MIN_PHASE_SECONDS = 1;

const SYNC: Target[] = ["node", "django"];
/** Every target, in the order results show them. */
export const TARGETS: Target[] = ["node", "django", "asgi"];

const SLOW_QUERY_MS = 400;
/** Both services serve four slow queries at a time: gunicorn has 4 threads, the Node pool 4 connections. */
const SLOTS = 4;
const SLOW_CAPACITY_PER_SECOND = (SLOTS * 1000) / SLOW_QUERY_MS;
const SLOW_SHARE = 0.75;
/** Requests waiting when the slow queries stop: a wait of about 3 s, and as long to drain. */
const SLOW_BACKLOG = 30;

/** Goes on in every phase. Who asks only this is the victim of what the phase does. */
const BACKGROUND: Stream[] = [{ path: "/api/json", targets: TARGETS, ratePerSecond: 5 }];

/** A shop on a quiet day: everything once in a while, nothing waits. */
const BROWSING: Stream[] = [
  { path: "/api/books/fixed?limit=20", targets: TARGETS, ratePerSecond: 1 },
  { path: "/page?limit=20", targets: SYNC, ratePerSecond: 0.5 },
  { path: "/page/cached?limit=20", targets: SYNC, ratePerSecond: 1 },
  { path: "/file", targets: SYNC, ratePerSecond: 1 },
  { path: "/api/events", method: "POST", body: '{"kind":"view"}', targets: SYNC, ratePerSecond: 1 },
  { path: "/api/events", targets: SYNC, ratePerSecond: 0.5 },
  { path: "/api/async?ms=20", targets: TARGETS, ratePerSecond: 1 },
];

const QUIET = [...BACKGROUND, ...BROWSING];

/**
 * The story, its phases stretched or shortened to `seconds` in all. Loads are per second and keep their meaning in a
 * shorter or longer phase; only the slow database's overload is set so that the queue ends at the same length.
 *
 * @throws RangeError when `seconds` leaves a phase under a second.
 */
export function story(seconds: number = STORY_SECONDS): Phase[] {
  const scale = seconds / STORY_SECONDS;
  const phases = PHASES.map((phase) => ({ ...phase, seconds: phase.seconds * scale }));
  return checked(phases).map(withOverload);
}

/** The story with phases of equal length. */
export function storyOfEqualPhases(phaseSeconds: number): Phase[] {
  return checked(PHASES.map((phase) => ({ ...phase, seconds: phaseSeconds }))).map(withOverload);
}

function checked(phases: Phase[]): Phase[] {
  for (const { name, seconds } of phases) {
    if (!(seconds >= MIN_PHASE_SECONDS)) {
      throw new RangeError(`phase "${name}" would last ${seconds} s; give every phase at least ${MIN_PHASE_SECONDS} s`);
    }
  }
  return phases;
}

function withOverload(phase: Phase): Phase {
  if (phase.name !== "slow-database") return phase;
  const slow: Stream = {
    path: `/api/slow?ms=${SLOW_QUERY_MS}`,
    targets: SYNC,
    ratePerSecond: SLOW_CAPACITY_PER_SECOND + SLOW_BACKLOG / (phase.seconds * SLOW_SHARE),
    until: SLOW_SHARE,
  };
  return { ...phase, streams: [...phase.streams, slow] };
}

const PHASES: Phase[] = [
  {
    name: "calm",
    title: "Calm",
    text: "A quiet day: nothing waits in either service.",
    seconds: 15,
    streams: QUIET,
  },
  {
    name: "slow-database",
    title: "Slow database",
    text: `Queries of ${SLOW_QUERY_MS} ms arrive faster than ${SLOTS} at a time can be served. Django's threads fill up and every route waits; in Node only the routes that need the pool do.`,
    seconds: 20,
    streams: BACKGROUND,
  },
  {
    name: "cpu-burst",
    title: "CPU burst",
    text: "Reports over 10,000 orders, three at a time. Each blocks Node's event loop, and in Django they fight for the interpreter lock.",
    seconds: 20,
    streams: [
      ...BACKGROUND,
      {
        path: "/api/report?n=10000",
        targets: SYNC,
        burst: { size: 3, everySeconds: 0.75 },
        maxUnanswered: 3,
        until: 0.9,
      },
    ],
  },
  {
    name: "hashing",
    title: "Password hashing",
    text: "Bursts of password hashes. Node's event loop stays idle while its four pool threads are taken and files wait.",
    seconds: 15,
    streams: [
      ...BACKGROUND,
      { path: "/file", targets: SYNC, ratePerSecond: 2 },
      {
        path: "/api/hash?rounds=100000",
        targets: SYNC,
        burst: { size: 24, everySeconds: 2.5 },
        maxUnanswered: 24,
        until: 0.9,
      },
    ],
  },
  {
    name: "n-plus-one",
    title: "N+1 queries",
    text: "A listing that asks the database once per row, beside its twin with one query.",
    seconds: 15,
    streams: [
      ...BACKGROUND,
      { path: "/api/books?limit=50", targets: SYNC, ratePerSecond: 5, maxUnanswered: 16 },
      { path: "/api/books/fixed?limit=50", targets: SYNC, ratePerSecond: 5 },
    ],
  },
  {
    name: "websockets",
    title: "500 WebSockets",
    text: "WebSockets open one after the other and echo: memory against connections.",
    seconds: 20,
    streams: BACKGROUND,
    sockets: { perTarget: 500, targets: ["node", "asgi"], messagesPerSecondEach: 0.2 },
  },
  {
    name: "recovery",
    title: "Recovery",
    text: "The quiet day again: what was full drains.",
    seconds: 15,
    streams: QUIET,
  },
];
