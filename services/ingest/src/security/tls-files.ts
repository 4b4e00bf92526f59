import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { BadTls } from "../errors.ts";

const DAY_MS = 24 * 3600 * 1000;
const WARN_DAYS = 14;

export interface TlsPaths {
  readonly certificate: string;
  readonly key: string;
  /** Who must have signed the certificates of senders; absent: senders need none. */
  readonly clientCa: string | undefined;
}

/** What the files hold. */
export interface TlsMaterial {
  readonly certificate: Buffer;
  readonly key: Buffer;
  readonly clientCa: Buffer | undefined;
  readonly expiresAt: number;
}

/** TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3. Source: Mozilla, server side TLS, "intermediate". */
const CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/**
 * Certificate and key from files, read again when told: connections that are open stay, new ones get what the files hold.
 * Listeners are told of every new material.
 */
export class TlsFiles {
  readonly paths: TlsPaths;
  material: TlsMaterial;
  private readonly listeners = new Set<(material: TlsMaterial) => void>();

  private constructor(paths: TlsPaths, material: TlsMaterial) {
    this.paths = paths;
    this.material = material;
  }

  /** Throws BadTls with a sentence that names the variable and the file. */
  static async open(paths: TlsPaths): Promise<TlsFiles> {
    return new TlsFiles(paths, await readMaterial(paths));
  }

  /** Throws BadTls; what was there before goes on being used then. */
  async load(): Promise<void> {
    this.material = await readMaterial(this.paths);
    for (const listener of this.listeners) listener(this.material);
  }

  /** `listener` is told at every `load`. Returns how to stop. */
  onLoad(listener: (material: TlsMaterial) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  get files(): string[] {
    return Object.values(this.paths).filter((path): path is string => path !== undefined);
  }

  /** A sentence for the log where the certificate has expired or soon will; undefined where all is well. */
  expiry(now: number): string | undefined {
    const days = (this.material.expiresAt - now) / DAY_MS;
    if (days > WARN_DAYS) return undefined;
    const at = new Date(this.material.expiresAt).toISOString();
    return days <= 0 ? `the TLS certificate expired at ${at}` : `the TLS certificate expires at ${at}`;
  }
}

/** For `tls.Server`: minimum version and ciphers included. */
export function contextOptions({ certificate, key, clientCa }: TlsMaterial): SecureContextOptions {
  return { cert: certificate, key, ca: clientCa, minVersion: "TLSv1.2", ciphers: CIPHERS, honorCipherOrder: true };
}

async function readMaterial(paths: TlsPaths): Promise<TlsMaterial> {
  const certificate = await readPem("TIDEMARK_TLS_CERT_FILE", paths.certificate);
  const key = await readPem("TIDEMARK_TLS_KEY_FILE", paths.key);
  const clientCa =
    paths.clientCa === undefined ? undefined : await readPem("TIDEMARK_TLS_CLIENT_CA_FILE", paths.clientCa);
  const leaf = parsed("TIDEMARK_TLS_CERT_FILE", paths.certificate, () => new X509Certificate(certificate));
  const privateKey = parsed("TIDEMARK_TLS_KEY_FILE", paths.key, () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new BadTls("TIDEMARK_TLS_KEY_FILE", paths.key, `is not the key of the certificate in ${paths.certificate}`);
  }
  if (clientCa !== undefined && paths.clientCa !== undefined) {
    parsed("TIDEMARK_TLS_CLIENT_CA_FILE", paths.clientCa, () => new X509Certificate(clientCa));
  }
  const material = { certificate, key, clientCa, expiresAt: Date.parse(leaf.validTo) };
  parsed("TIDEMARK_TLS_CERT_FILE", paths.certificate, () => createSecureContext(contextOptions(material)));
  return material;
}

async function readPem(variable: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new BadTls(variable, path, (error as Error).message);
  }
}

function parsed<T>(variable: string, path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new BadTls(variable, path, `is not usable: ${(error as Error).message}`);
  }
}
