import { createHash, randomBytes } from "node:crypto";
import { chmod, open, readFile, rename, rm } from "node:fs/promises";
import { type Static, Type } from "typebox";
import { Check, Errors } from "typebox/value";
import { BadTokensFile } from "../errors.ts";

/** 256 random bits: nobody guesses them, so a fast hash protects them as well as a slow one would. */
const TOKEN_BYTES = 32;
const PREFIX = "tdm_";
/** The name of whoever shows TIDEMARK_TOKEN, or needs no token. */
export const DEFAULT_SOURCE = "default";
const MAX_TOKENS = 10_000;
const NAME = "^[a-z0-9][a-z0-9._-]{0,62}$";
const POSITIVE = { exclusiveMinimum: 0 };

/** What one source may do; absent: the process-wide setting, or no limit. */
export const LimitsSchema = Type.Object(
  {
    requestsPerSecond: Type.Optional(Type.Number(POSITIVE)),
    bytesPerSecond: Type.Optional(Type.Number(POSITIVE)),
    concurrentRequests: Type.Optional(Type.Integer({ minimum: 1 })),
    maxBodyBytes: Type.Optional(Type.Integer({ minimum: 1024 })),
  },
  { additionalProperties: false },
);
export type Limits = Static<typeof LimitsSchema>;

const EntrySchema = Type.Object(
  {
    name: Type.String({ pattern: NAME }),
    sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
    created: Type.String(),
    expires: Type.Optional(Type.String()),
    /** Values of service.name that it may send, `*` for any text; absent: all. */
    services: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })),
    limits: Type.Optional(LimitsSchema),
  },
  { additionalProperties: false },
);
/** One source's token, hashed. */
export type TokenEntry = Static<typeof EntrySchema>;
const FileSchema = Type.Object(
  { tokens: Type.Array(EntrySchema, { maxItems: MAX_TOKENS }) },
  { additionalProperties: false },
);

/**
 * SHA-256. A password would need a slow hash; a token of 256 random bits cannot be searched for, and a slow hash per
 * request would be a way to keep the ingest busy. Source: OWASP, "Password Storage Cheat Sheet", on high-entropy keys.
 */
export function hashToken(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** Reads the tokens file. Throws BadTokensFile with a sentence that names the file and what is wrong. */
export async function readTokens(path: string): Promise<readonly TokenEntry[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new BadTokensFile(path, (error as Error).message);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new BadTokensFile(path, "is not JSON");
  }
  if (!Check(FileSchema, parsed)) {
    const [first] = Errors(FileSchema, parsed);
    throw new BadTokensFile(path, `${first?.instancePath ?? ""} ${first?.message ?? "is not valid"}`.trim());
  }
  const names = new Set<string>();
  for (const { name, expires } of parsed.tokens) {
    if (name === DEFAULT_SOURCE) throw new BadTokensFile(path, `${name} is the name of TIDEMARK_TOKEN's source`);
    if (names.has(name)) throw new BadTokensFile(path, `names ${name} twice`);
    names.add(name);
    if (expires !== undefined && Number.isNaN(Date.parse(expires))) {
      throw new BadTokensFile(path, `${name}: expires is no date`);
    }
  }
  return parsed.tokens;
}

export interface NewToken {
  readonly name: string;
  readonly expires?: string | undefined;
  readonly services?: readonly string[] | undefined;
  readonly limits?: { readonly [limit in keyof Limits]?: number | undefined } | undefined;
}

/** Adds a token to the file, made when it is not there, and returns its text: the only time anybody sees it. Throws BadTokensFile. */
export async function createToken(path: string, entry: NewToken, now = Date.now()): Promise<string> {
  const token = PREFIX + randomBytes(TOKEN_BYTES).toString("base64url");
  await change(path, (tokens) => {
    if (tokens.some(({ name }) => name === entry.name))
      throw new BadTokensFile(path, `has a token ${entry.name} already`);
    const sha256 = hashToken(token).toString("hex");
    // Through JSON: fields that are undefined are not there.
    return [...tokens, JSON.parse(JSON.stringify({ ...entry, sha256, created: new Date(now).toISOString() }))];
  });
  return token;
}

/** Takes a token out of the file. Throws BadTokensFile when there is none of that name. */
export async function revokeToken(path: string, name: string): Promise<void> {
  await change(path, (tokens) => {
    const left = tokens.filter((entry) => entry.name !== name);
    if (left.length === tokens.length) throw new BadTokensFile(path, `has no token ${name}`);
    return left;
  });
}

/** Writes the file anew and puts it in place at once, so that a reader sees it whole; two writers exclude each other. */
async function change(path: string, edit: (tokens: readonly TokenEntry[]) => readonly TokenEntry[]): Promise<void> {
  const beside = `${path}.new`;
  const file = await open(beside, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === "EEXIST" ? `is being changed (or remove ${beside})` : error.message;
    throw new BadTokensFile(path, reason);
  });
  try {
    const known = await readTokens(path).catch((error) => {
      if (/ENOENT/.test(error.message)) return [];
      throw error;
    });
    const tokens = edit(known);
    if (!Check(FileSchema, { tokens })) {
      const [first] = Errors(FileSchema, { tokens });
      throw new BadTokensFile(path, `would not be valid: ${first?.instancePath} ${first?.message}`);
    }
    await file.writeFile(`${JSON.stringify({ tokens }, null, 2)}\n`);
    await file.sync();
    await chmod(beside, 0o600);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}
