import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { Unauthorized } from "../errors.ts";

/**
 * A check for the `Authorization: Bearer` header. Digests are compared in constant time, so the reply's timing tells
 * neither the token's text nor its length. Throws Unauthorized.
 */
export function tokenCheck(token: string | undefined): (request: FastifyRequest) => void {
  if (token === undefined) return () => {};
  const expected = digest(token);
  return (request) => {
    const match = /^bearer +(.+)$/i.exec(request.headers.authorization ?? "");
    if (match === null || !timingSafeEqual(digest(match[1]!.trim()), expected)) throw new Unauthorized();
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
