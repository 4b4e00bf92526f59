import { deflateSync, gzipSync } from "node:zlib";
import { SIGNALS } from "../chaos/batch.ts";
import type { Random } from "../random.ts";
import { mutateJson } from "./json-mutation.ts";
import { mutateProtobuf, randomBytes } from "./protobuf-mutation.ts";
import { MESSAGES, type Seed } from "./seeds.ts";

const BOMB_BYTES = 80 * 1024 * 1024;

/** A request to be sent. */
export interface Mutant {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

let bomb: Buffer | undefined;

/** One mutated request: its message, then its bytes, then how it is sent. */
export function mutant(seeds: readonly Seed[], random: Random): Mutant {
  const seed = random.pick(seeds);
  const json = random.chance(0.4);
  let body = json ? mutateJson(seed.json, random) : mutateProtobuf(seed.protobuf, MESSAGES[seed.signal], random);
  if (random.chance(0.25)) body = mutateBytes(body, random.pick(seeds).protobuf, random);
  const headers: Record<string, string> = { "content-type": json ? "application/json" : "application/x-protobuf" };
  let path = `/v1/${seed.signal}`;
  const dice = random.next();
  if (dice < 0.15) {
    body = gzipSync(body, { level: 1 });
    headers["content-encoding"] = "gzip";
    if (random.chance(0.4)) body = mutateBytes(body, seed.protobuf, random);
  } else if (dice < 0.17) {
    body = deflateSync(body);
    headers["content-encoding"] = "deflate";
    if (random.chance(0.4)) body = mutateBytes(body, seed.protobuf, random);
  } else if (dice < 0.19) {
    headers["content-encoding"] = random.pick([
      "gzip",
      "deflate",
      "br",
      "zstd",
      "gzip, gzip",
      "__proto__",
      "identity",
      "GZIP",
    ]);
  } else if (dice < 0.22) {
    headers["content-type"] = random.pick([
      "application/json",
      "application/x-protobuf",
      "application/json; charset=utf-16",
      "text/plain",
      "application/grpc",
      ";",
    ]);
  } else if (dice < 0.24) path = `/v1/${random.pick(SIGNALS)}`;
  else if (dice < 0.245)
    path = random.pick(["/v1/profiles", "/v1/metrics/", "/v1/metrics?x=1", "/", "/v1/%00", "/v1//logs"]);
  else if (dice < 0.25) delete headers["content-type"];
  else if (dice < 0.252) {
    bomb ??= gzipSync(Buffer.alloc(BOMB_BYTES));
    body = bomb;
    headers["content-encoding"] = "gzip";
  } else if (dice < 0.256) body = Buffer.alloc(0);
  return { path, headers, body };
}

function mutateBytes(body: Buffer, other: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(body);
  const at = random.below(bytes.length + 1);
  return random.pick([
    () => {
      for (let i = random.below(16); i >= 0 && bytes.length > 0; i--)
        bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
      return bytes;
    },
    () => bytes.subarray(0, at),
    () => bytes.subarray(at),
    () => Buffer.concat([bytes.subarray(0, at), randomBytes(1 + random.below(16), random), bytes.subarray(at)]),
    () => bytes.fill(random.pick([0, 0xff, 0x80]), at, Math.min(bytes.length, at + 32)),
    () => Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length))]),
    () => Buffer.concat([bytes, bytes]),
  ])();
}
