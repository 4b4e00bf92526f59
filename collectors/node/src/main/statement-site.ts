import { fileURLToPath } from "node:url";
import { type CallSite, isApplications, siteText } from "../shared/call-site.ts";
import type { Statement } from "./databases/statement.ts";
import { stack } from "./describe.ts";

/** A statement's site is looked up again after this long. */
const FRESH_MS = 60_000;
const OWN_DIRECTORY = fileURLToPath(new URL("..", import.meta.url));

/** Frames that a source map may be asked for. */
const MAX_FRAMES = 4;
/** Routes a statement is looked up for; further ones share one place. */
const MAX_ROUTES = 50;

interface Site {
  readonly site: CallSite | undefined;
  readonly atMs: number;
}
const sites = new WeakMap<Statement, Map<string | undefined, Site>>();

/**
 * Where the application asks for a statement on a route; undefined when no frame is the application's. Only to be called for a statement that has been repeated:
 * it takes a stack, for a statement and route at most once a minute. `entry` is what {@link callSite} found where the
 * application last asked for anything, for drivers that run a statement off its stack.
 */
export function siteOf(
  statement: Statement,
  route: string | undefined,
  entry: CallSite | undefined,
): CallSite | undefined {
  const known = freshSite(statement, route);
  if (known !== undefined) return known.site;
  const site = findSite(siteOf) ?? entry;
  rememberSite(statement, route, site);
  return site;
}

/** Has {@link freshSite} answer this place for a minute. */
export function rememberSite(statement: Statement, route: string | undefined, site: CallSite | undefined): void {
  let ofStatement = sites.get(statement);
  if (ofStatement === undefined) {
    ofStatement = new Map();
    sites.set(statement, ofStatement);
  }
  const key = ofStatement.has(route) || ofStatement.size < MAX_ROUTES ? route : undefined;
  ofStatement.set(key, { site, atMs: performance.now() });
}

/** What {@link siteOf} answers without a stack; undefined when it needs one. */
export function freshSite(statement: Statement, route: string | undefined): Site | undefined {
  const known = sites.get(statement)?.get(route);
  return known !== undefined && performance.now() - known.atMs < FRESH_MS ? known : undefined;
}

/** The application's frame that runs now. Takes a stack. */
export function callSite(): CallSite | undefined {
  return findSite(callSite);
}

function findSite(above: (...parameters: never[]) => unknown): CallSite | undefined {
  const frames = stack(above).filter((frame) => isApplications(frame) && !frame.file.startsWith(OWN_DIRECTORY));
  const [innermost] = frames;
  return innermost === undefined ? undefined : { text: siteText(innermost), frames: frames.slice(0, MAX_FRAMES) };
}
