import { createHash, timingSafeEqual } from "node:crypto";
import { Unauthorized } from "../errors.ts";

/**
 * A check for what came as `Authorization`, a header or gRPC metadata: `Bearer` and the token. Digests are compared in
 * constant time, so the reply's timing tells neither the token's text nor its length. Throws Unauthorized.
 */
export function tokenCheck(token: string | undefined): (authorization: string | undefined) => void {
  if (token === undefined) return () => {};
  const expected = digest(token);
  return (authorization) => {
    const match = /^bearer +(.+)$/i.exec(authorization ?? "");
    if (match === null || !timingSafeEqual(digest(match[1]!.trim()), expected)) throw new Unauthorized();
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
