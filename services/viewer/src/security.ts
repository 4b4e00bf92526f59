import { timingSafeEqual } from "node:crypto";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { isLoopback, type ViewerConfig } from "./config.ts";
import { ViewerError } from "./errors.ts";

const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/**
 * Refuses names in the Host header that are not ours, so that a foreign page cannot reach the viewer through DNS
 * rebinding; asks for the token where one is set; allows the page nothing but its own files.
 */
export function installSecurity(app: FastifyInstance, config: ViewerConfig): void {
  const names = new Set(["localhost", "127.0.0.1", "[::1]", config.host, ...config.allowedHosts]);
  const checkHost = isLoopback(config.host) || config.allowedHosts.length > 0;
  app.addHook("onRequest", async (request, reply) => {
    reply.headers(HEADERS);
    if (checkHost && !names.has(hostName(request))) {
      const message = `The name "${request.headers.host ?? ""}" is not allowed here`;
      const hint = "Open http://127.0.0.1 instead, or add the name to TIDEMARK_VIEWER_ALLOWED_HOSTS.";
      throw new ViewerError(421, "VIEWER_HOST_REFUSED", message, hint);
    }
    if (config.token && !isHealth(request) && !carries(request, config.token)) {
      reply.header("www-authenticate", 'Basic realm="Tidemark", charset="UTF-8"');
      const hint = "Give the token of TIDEMARK_TOKEN as the password, or as a Bearer token.";
      throw new ViewerError(401, "VIEWER_TOKEN_WANTED", "This viewer wants a token", hint);
    }
  });
}

function hostName(request: FastifyRequest): string {
  return (request.headers.host ?? "").replace(/:\d+$/, "").toLowerCase();
}

function isHealth(request: FastifyRequest): boolean {
  return request.url === "/healthz" || request.url === "/readyz";
}

function carries(request: FastifyRequest, token: string): boolean {
  const [scheme = "", value = ""] = (request.headers.authorization ?? "").split(" ");
  if (scheme.toLowerCase() === "bearer") return same(value, token);
  if (scheme.toLowerCase() !== "basic") return false;
  const decoded = Buffer.from(value, "base64").toString("utf8");
  return same(decoded.slice(decoded.indexOf(":") + 1), token);
}

function same(given: string, wanted: string): boolean {
  const a = Buffer.from(given);
  const b = Buffer.from(wanted);
  return a.length === b.length && timingSafeEqual(a, b);
}
