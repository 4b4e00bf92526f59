import { timingSafeEqual } from "node:crypto";
import { ServiceNotAllowed, Unauthorized } from "../errors.ts";
import { Glob } from "../privacy/attribute-rules.ts";
import { SourceUse } from "./limits.ts";
import { DEFAULT_SOURCE, hashToken, type Limits, readTokens, type TokenEntry } from "./tokens.ts";

const INDEX_BYTES = 8;
const MAX_SERVICES_REMEMBERED = 1000;
const LONGEST_SERVICE_REMEMBERED = 256;
/** What one of several sources may hold of the memory for bodies. */
const SHARE_OF_MEMORY = 0.5;
/** Longer ones are not hashed: a header may be 16 KiB. */
const MAX_TOKEN_CHARACTERS = 1024;

/** Who sends, as its token says. */
interface Source {
  readonly digest: Buffer;
  readonly use: SourceUse;
  readonly limits: Limits;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  readonly services: AllowedServices | undefined;
}

export interface SourcesOptions {
  /** The one token of TIDEMARK_TOKEN. */
  readonly token: string | undefined;
  readonly file: string | undefined;
  /** Limits of sources that have none of their own. */
  readonly limits: Limits;
  /** Largest body of any source, in bytes. */
  readonly maxBodyBytes: number;
  /** Bytes of all bodies in memory. */
  readonly maxReceivingBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** One request of a source, from its admission to its end. */
export class Visit {
  readonly source: string;
  /** Largest body it may have as sent, in bytes. */
  readonly maxBodyBytes: number;
  private readonly use: SourceUse;
  private readonly services: AllowedServices | undefined;
  private readonly maxHeldBytes: number;
  private held = 0;
  private ended = false;

  constructor(use: SourceUse, services: AllowedServices | undefined, maxBodyBytes: number, maxHeldBytes: number) {
    this.maxHeldBytes = maxHeldBytes;
    this.source = use.name;
    this.use = use;
    this.services = services;
    this.maxBodyBytes = maxBodyBytes;
  }

  received(bytes: number): void {
    this.use.received(bytes);
  }

  /** Counts bytes that are in memory until the end. Throws RateLimited when the source has more there than its share. */
  hold(bytes: number): void {
    if (this.ended) return;
    this.use.hold(bytes, this.maxHeldBytes);
    this.held += bytes;
  }

  /** Throws ServiceNotAllowed. */
  readonly checkService = (service: string): void => {
    if (this.services !== undefined && !this.services.has(service)) throw new ServiceNotAllowed(this.source, service);
  };

  /** To be called when the reply is sent or the sender gone; repeated, it does nothing. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.use.leave(this.held);
  }
}

/**
 * The sources that may send, by their tokens. A token is found by its digest: what the search's time could tell is
 * about a hash that the sender cannot choose, and nothing depends on how many tokens there are.
 */
export class Sources {
  private readonly options: SourcesOptions;
  private readonly builtIn: Source | undefined;
  private readonly open: Source | undefined;
  private byDigest: ReadonlyMap<string, Source> = new Map();

  constructor(options: SourcesOptions) {
    this.options = options;
    const { token, file } = options;
    const source = (digest: Buffer): Source => this.source({ name: DEFAULT_SOURCE, digest });
    this.builtIn = token === undefined ? undefined : source(hashToken(token));
    this.open = token === undefined && file === undefined ? source(Buffer.alloc(0)) : undefined;
    if (this.builtIn !== undefined) this.byDigest = new Map([indexed(this.builtIn)]);
  }

  /** Names of all sources. */
  get names(): string[] {
    const named = [...this.byDigest.values()].map(({ use }) => use.name);
    return this.open === undefined ? named : [DEFAULT_SOURCE];
  }

  /** Reads the file again. Throws BadTokensFile; the tokens that were known go on being taken then. */
  async load(): Promise<void> {
    const { file } = this.options;
    if (file === undefined) return;
    const entries = await readTokens(file);
    const before = new Map([...this.byDigest.values()].map((source) => [source.use.name, source]));
    const next = new Map(this.builtIn === undefined ? [] : [indexed(this.builtIn)]);
    for (const entry of entries) {
      const digest = Buffer.from(entry.sha256, "hex");
      const known = before.get(entry.name);
      const source = this.source({ ...entry, digest });
      // What a source has used stays used, unless its limits are other ones.
      const same = known !== undefined && JSON.stringify(known.limits) === JSON.stringify(source.limits);
      next.set(...indexed(same ? { ...source, use: known.use } : source));
    }
    this.byDigest = next;
  }

  /** Lets one request of whoever shows this `Authorization` in. Throws Unauthorized or RateLimited. */
  admit(authorization: string | undefined): Visit {
    const source = this.open ?? this.find(authorization);
    source.use.enter(performance.now());
    const { maxBodyBytes, maxReceivingBytes } = this.options;
    const largest = Math.min(maxBodyBytes, source.limits.maxBodyBytes ?? maxBodyBytes);
    // A source that is alone has all of it, up to the limit of all.
    const share = this.byDigest.size > 1 ? SHARE_OF_MEMORY * maxReceivingBytes : Number.POSITIVE_INFINITY;
    return new Visit(source.use, source.services, largest, share);
  }

  /** Whether who shows this `Authorization` may see what is only for known sources; no limit counts. Throws Unauthorized. */
  check(authorization: string | undefined): void {
    if (this.open === undefined) this.find(authorization);
  }

  private find(authorization: string | undefined): Source {
    const token = /^bearer +(.+)$/i.exec(authorization ?? "")?.[1]?.trim() ?? "";
    if (token.length > MAX_TOKEN_CHARACTERS) throw new Unauthorized();
    const digest = hashToken(token);
    const source = this.byDigest.get(indexOf(digest));
    const matches = timingSafeEqual(source?.digest ?? digest, digest) && source !== undefined;
    if (!matches || token === "" || source.expiresAt <= this.options.now()) throw new Unauthorized();
    return source;
  }

  private source(entry: Partial<TokenEntry> & { name: string; digest: Buffer }): Source {
    const limits = { ...this.options.limits, ...entry.limits };
    return {
      digest: entry.digest,
      limits,
      use: new SourceUse(entry.name, limits, performance.now()),
      expiresAt: entry.expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(entry.expires),
      services: entry.services && new AllowedServices(entry.services),
    };
  }
}

class AllowedServices {
  private readonly globs: readonly Glob[];
  private readonly remembered = new Map<string, boolean>();

  constructor(patterns: readonly string[]) {
    this.globs = patterns.map((pattern) => new Glob(pattern));
  }

  has(service: string): boolean {
    let allowed = this.remembered.get(service);
    if (allowed === undefined) {
      allowed = this.globs.some((glob) => glob.matches(service.toLowerCase()));
      if (service.length > LONGEST_SERVICE_REMEMBERED) return allowed;
      if (this.remembered.size >= MAX_SERVICES_REMEMBERED) this.remembered.clear();
      this.remembered.set(service, allowed);
    }
    return allowed;
  }
}

function indexOf(digest: Buffer): string {
  return digest.toString("latin1", 0, INDEX_BYTES);
}

function indexed(source: Source): [string, Source] {
  return [indexOf(source.digest), source];
}
