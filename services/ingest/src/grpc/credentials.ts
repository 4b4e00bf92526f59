import { ServerCredentials } from "@grpc/grpc-js";

/** What the gRPC port speaks: plain HTTP/2. The one place where certificates go. */
export function serverCredentials(): ServerCredentials {
  return ServerCredentials.createInsecure();
}
