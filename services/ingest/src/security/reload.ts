import type { FastifyBaseLogger } from "fastify";
import { watchFiles } from "./file-watch.ts";
import type { Sources } from "./sources.ts";
import type { TlsFiles } from "./tls-files.ts";

export interface ReloadOptions {
  readonly sources: Sources;
  readonly tokensFile: string | undefined;
  readonly tls: TlsFiles | undefined;
  readonly log: FastifyBaseLogger;
  readonly now: () => number;
  readonly failed: (what: "tokens" | "tls") => void;
}

/** Keeps tokens and certificates as their files say: read again when a file changes, or when asked to. */
export class Reload {
  private readonly options: ReloadOptions;
  private readonly stops: (() => void)[] = [];

  constructor(options: ReloadOptions) {
    this.options = options;
  }

  watch(intervalMs?: number): void {
    const { tokensFile, tls, log, now } = this.options;
    if (tokensFile !== undefined) {
      this.stops.push(watchFiles([tokensFile], () => void this.tokens(), intervalMs));
    }
    if (tls !== undefined) {
      const expiry = tls.expiry(now());
      if (expiry !== undefined) log.warn(expiry);
      this.stops.push(watchFiles(tls.files, () => void this.certificates(), intervalMs));
    }
  }

  stop(): void {
    for (const stop of this.stops) stop();
  }

  async all(): Promise<void> {
    await this.tokens();
    await this.certificates();
  }

  private async tokens(): Promise<void> {
    const { sources, tokensFile, log, failed } = this.options;
    if (tokensFile === undefined) return;
    try {
      await sources.load();
      log.info({ sources: sources.names.length }, "tokens read");
    } catch (error) {
      failed("tokens");
      log.error({ error: (error as Error).message }, "the tokens file is not usable, the tokens known before stay");
    }
  }

  private async certificates(): Promise<void> {
    const { tls, log, now, failed } = this.options;
    if (tls === undefined) return;
    try {
      await tls.load();
      log.info({ expires: new Date(tls.material.expiresAt).toISOString() }, "TLS certificate read");
      const expiry = tls.expiry(now());
      if (expiry !== undefined) log.warn(expiry);
    } catch (error) {
      failed("tls");
      log.error(
        { error: (error as Error).message },
        "the TLS files are not usable, the certificate known before stays",
      );
    }
  }
}
