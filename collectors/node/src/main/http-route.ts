import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage } from "node:http";
import type { Guard } from "./guard.ts";
import type { ModuleLoads } from "./module-loads.ts";

const kRoute = Symbol("tidemark.route");
const MAX_MOUNTS = 20;

interface Layer {
  readonly route?: object;
  readonly handle?: { stack?: readonly Layer[] };
  readonly keys?: readonly unknown[];
  path?: string;
  params?: Readonly<Record<string, string>>;
  /** Whether it matches, told in `path` and `params`; from router 2.3 on, what it matched. */
  match(path: string): boolean | undefined | Match;
}
interface Match {
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly keys?: readonly unknown[];
  readonly pattern?: unknown;
}
interface ExpressApplication {
  readonly parent?: ExpressApplication;
  readonly mountpath?: string | readonly string[];
  readonly router?: { stack?: readonly Layer[] };
  readonly _router?: { stack?: readonly Layer[] };
}
interface RoutedRequest extends IncomingMessage {
  [kRoute]?: string;
  readonly route?: { readonly path?: unknown };
  readonly baseUrl?: string;
  readonly app?: ExpressApplication;
}
interface Mounts {
  /** Mount points without parameters: what the request shows is the template. */
  readonly fixed: Set<string>;
  readonly parametric: { readonly pattern: RegExp; readonly template: string }[];
}

// By Express's own route object, which lives as long as the application.
const mountsOfRoute = new WeakMap<object, Mounts>();

/**
 * Template of the route that served a request, such as `/users/:id`; undefined when no framework matched one, and
 * never the path itself. Express 4 and 5 leave `req.route`; Fastify's comes through {@link followFastify}.
 * With `interrupting`, nothing of the application's is called: it may be in the middle of the same.
 */
export function routeOf(request: IncomingMessage, interrupting = false): string | undefined {
  const routed = request as RoutedRequest;
  const told = routed[kRoute];
  if (told !== undefined) return told;
  const route = routed.route;
  if (route === undefined || route === null || typeof route !== "object") return undefined;
  const path = pathTemplate(route.path);
  if (path === undefined) return undefined;
  const base = routed.baseUrl;
  if (base === undefined || base === "") return path;
  const mount = mountTemplate(route, base, interrupting ? undefined : routed.app);
  if (mount === undefined) return undefined;
  return path === "/" ? mount : mount + path;
}

/** Follows Fastify applications: they announce themselves, and each request gets the template of its route. */
export function followFastify(guard: Guard): () => void {
  const initialized = guard((message: unknown) => {
    const { fastify } = message as {
      fastify: {
        addHook(name: string, hook: (request: FastifyRequest, reply: unknown, done: () => void) => void): void;
      };
    };
    const remember = guard((request: FastifyRequest) => {
      const url = request.routeOptions?.url;
      if (typeof url === "string") (request.raw as RoutedRequest)[kRoute] = url;
    });
    fastify.addHook("onRequest", (request, _reply, done) => {
      remember(request);
      done();
    });
  });
  const name = channel("fastify.initialization").name;
  subscribe(name, initialized);
  return () => unsubscribe(name, initialized);
}

/**
 * Follows Koa: `@koa/router` notes the template of the route it found in the request's context, and every context
 * inherits from one object, on which that note is seen.
 */
export function followKoa(loads: ModuleLoads): void {
  const noted = "_matchedRoute";
  loads.awaitFile({
    within: "koa",
    file: "context",
    loaded: (context) => {
      if (typeof context !== "object" || context === null || noted in context) return;
      Object.defineProperty(context, noted, {
        configurable: true,
        set(this: { readonly req?: RoutedRequest }, path: unknown) {
          Object.defineProperty(this, noted, { value: path, writable: true, enumerable: true, configurable: true });
          const template = pathTemplate(path);
          if (this.req !== undefined && template !== undefined) this.req[kRoute] = template;
        },
      });
    },
  });
}

interface FastifyRequest {
  readonly raw: IncomingMessage;
  readonly routeOptions?: { readonly url?: string };
}

function pathTemplate(path: unknown): string | undefined {
  if (typeof path === "string") return path;
  if (path instanceof RegExp) return String(path);
  if (Array.isArray(path)) return path.map(String).join(",");
  return undefined;
}

/**
 * Template of the mount points before a route. Express keeps only what the request matched (`/shops/42`), so the
 * layers that lead to the route are asked once which parts are parameters; the answer is kept with the route.
 */
function mountTemplate(route: object, base: string, app: ExpressApplication | undefined): string | undefined {
  let mounts = mountsOfRoute.get(route);
  if (mounts === undefined) {
    mounts = { fixed: new Set(), parametric: [] };
    mountsOfRoute.set(route, mounts);
  }
  if (mounts.fixed.has(base)) return base;
  for (const { pattern, template } of mounts.parametric) if (pattern.test(base)) return template;
  if (app === undefined || mounts.fixed.size + mounts.parametric.length >= MAX_MOUNTS) return undefined;
  const prefix = mountedAt(app);
  if (prefix === undefined) return undefined;
  const parts = prefix.split("/").length - 1;
  const segments = base.split("/");
  const rest = segments
    .slice(1 + parts)
    .map((segment) => `/${segment}`)
    .join("");
  const below = templateBelow((app._router ?? app.router)?.stack, rest, route);
  if (below === undefined) return undefined;
  const template = prefix + below;
  if (template === base) mounts.fixed.add(base);
  else {
    const pattern = template
      .split("/")
      .map((segment) => (segment.includes(":") ? "[^/]+" : segment.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")))
      .join("/");
    mounts.parametric.push({ pattern: new RegExp(`^${pattern}$`, "i"), template });
  }
  return template;
}

/** Where an application is mounted in its parents; empty for the outermost, undefined if at several places. */
function mountedAt(app: ExpressApplication): string | undefined {
  let path = "";
  for (let at: ExpressApplication | undefined = app; at?.parent !== undefined; at = at.parent) {
    if (typeof at.mountpath !== "string") return undefined;
    path = at.mountpath.replace(/\/$/, "") + path;
  }
  return path;
}

function templateBelow(stack: readonly Layer[] | undefined, path: string, route: object): string | undefined {
  for (const layer of stack ?? []) {
    if (layer.route === route) {
      if (path === "") return "";
      continue;
    }
    const inner = layer.handle?.stack;
    if (inner === undefined || layer.route !== undefined) continue;
    // The match changes the layer's scratch fields, which Express fills anew before each use.
    const answer = layer.match(path === "" ? "/" : path);
    if (!answer) continue;
    const matched = answer === true ? { path: layer.path ?? "", params: layer.params ?? {}, keys: layer.keys } : answer;
    const own = matched.path.replace(/\/$/, "");
    const template =
      "pattern" in matched && typeof matched.pattern === "string"
        ? matched.pattern.replace(/\/$/, "")
        : withParameters(own, matched.params, matched.keys?.length ?? 0);
    if (template === undefined) continue;
    const below = templateBelow(inner, path.slice(own.length), route);
    if (below !== undefined) return template + below;
  }
  return undefined;
}

function withParameters(path: string, params: Readonly<Record<string, string>>, keys: number): string | undefined {
  const names = Object.entries(params);
  if (names.length === 0) return keys === 0 ? path : undefined;
  let replaced = 0;
  const template = path
    .split("/")
    .map((segment) => {
      const found = names.find(([, value]) => segment !== "" && decodeURIComponent(segment) === String(value));
      if (found === undefined) return segment;
      replaced += 1;
      return `:${found[0]}`;
    })
    .join("/");
  return replaced > 0 && replaced >= names.length ? template : undefined;
}
