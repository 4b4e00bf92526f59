import type { RequestListener } from "node:http";
import { createServer, type Server } from "node:https";
import { contextOptions, type TlsFiles } from "./tls-files.ts";

export interface Timeouts {
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
  readonly connectionsCheckingInterval: number;
}

/** An HTTPS server whose new connections get the certificate that the files hold then. Times in ms. */
export function secureServer(tls: TlsFiles, timeouts: Timeouts, handler: RequestListener): Server {
  const asksForClients = tls.paths.clientCa !== undefined;
  const server = createServer(
    {
      ...contextOptions(tls.material),
      ...timeouts,
      handshakeTimeout: timeouts.headersTimeout,
      requestCert: asksForClients,
      rejectUnauthorized: asksForClients,
    },
    handler,
  );
  const stop = tls.onLoad((material) => server.setSecureContext(contextOptions(material)));
  server.once("close", stop);
  return server;
}
