import { experimental, ServerCredentials } from "@grpc/grpc-js";
import type { TlsFiles } from "../security/tls-files.ts";

type Provider = experimental.CertificateProvider;

/** What the gRPC port speaks: plain HTTP/2, or TLS with the certificate that the files hold at the time of a connection. */
export function serverCredentials(tls: TlsFiles | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const provider = new FilesProvider(tls);
  const asksForClients = tls.paths.clientCa !== undefined;
  // grpc-js 1.14 takes the server's own certificate first, whatever it calls its parameters.
  return experimental.createCertificateProviderServerCredentials(
    provider,
    asksForClients ? provider : null,
    asksForClients,
  );
}

/** Tells grpc-js of certificates and of each change of theirs. */
class FilesProvider implements Provider {
  private readonly tls: TlsFiles;
  private readonly stops = new Map<object, () => void>();

  constructor(tls: TlsFiles) {
    this.tls = tls;
  }

  addCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    const tell = () => listener({ caCertificate: this.tls.material.clientCa! });
    this.stops.set(listener, this.tls.onLoad(tell));
    tell();
  }

  addIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    const tell = () => listener({ certificate: this.tls.material.certificate, privateKey: this.tls.material.key });
    this.stops.set(listener, this.tls.onLoad(tell));
    tell();
  }

  removeCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.stop(listener);
  }

  removeIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.stop(listener);
  }

  private stop(listener: object): void {
    this.stops.get(listener)?.();
    this.stops.delete(listener);
  }
}
