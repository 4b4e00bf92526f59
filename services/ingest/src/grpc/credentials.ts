import { ServerCredentials } from "@grpc/grpc-js";
import { contextOptions, type TlsFiles } from "../security/tls-files.ts";

/** What the gRPC port speaks: plain HTTP/2, or TLS with the certificate that the files hold at the time of a connection. */
export function serverCredentials(tls: TlsFiles | undefined): ServerCredentials {
  return tls === undefined ? ServerCredentials.createInsecure() : new FileCredentials(tls);
}

const HANDSHAKE_MS = 10_000;

/** The credentials that grpc-js makes itself can either change or be held to our protocols and ciphers, not both. */
class FileCredentials extends ServerCredentials {
  constructor(tls: TlsFiles) {
    const asksForClients = tls.paths.clientCa !== undefined;
    super(
      { requestCert: asksForClients, rejectUnauthorized: asksForClients, handshakeTimeout: HANDSHAKE_MS },
      contextOptions(tls.material),
    );
    tls.onLoad((material) => this.updateSecureContextOptions(contextOptions(material)));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
