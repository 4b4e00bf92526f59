import {
  Metadata,
  Server,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import type { FastifyBaseLogger } from "fastify";
import { ReceiveTimeout } from "../errors.ts";
import type { HeldBytes } from "../held-bytes.ts";
import { SIGNALS, type Signal } from "../otlp/reply.ts";
import { grpcCode, statusReply } from "../otlp/status.ts";
import { failureOf } from "../plugins/error-replies.ts";
import type { Telemetry } from "../plugins/telemetry.ts";
import type { Receiver } from "../receive.ts";
import type { ConnectionsPerAddress } from "../security/slow-senders.ts";
import type { Visit } from "../security/sources.ts";
import type { TlsFiles } from "../security/tls-files.ts";
import { authorizationOf, CallArrival, serversOf, streamOf } from "./arrivals.ts";
import { serverCredentials } from "./credentials.ts";

/** Calls in flight on one connection; SDKs send one at a time, Collectors ten. */
const MAX_CONCURRENT_STREAMS = 100;
const KEEP_ALIVE_MS = 60_000;
const KEEP_ALIVE_ANSWER_MS = 20_000;
/** Longer than any usual export interval, so that a quiet agent keeps its connection. */
const MAX_IDLE_MS = 10 * 60_000;

/** Source: opentelemetry-proto, collector/<signal>/v1/<signal>_service.proto. */
const SERVICES: Readonly<Record<Signal, string>> = {
  metrics: "opentelemetry.proto.collector.metrics.v1.MetricsService",
  traces: "opentelemetry.proto.collector.trace.v1.TraceService",
  logs: "opentelemetry.proto.collector.logs.v1.LogsService",
};
const STATUS_DETAILS = "grpc-status-details-bin";

export interface OtlpGrpcOptions {
  readonly receiver: Receiver;
  readonly heldBytes: HeldBytes;
  readonly telemetry: Telemetry;
  readonly log: FastifyBaseLogger;
  readonly tls: TlsFiles | undefined;
  readonly connections: ConnectionsPerAddress;
  readonly maxDecompressedBytes: number;
  /** A sender that needs longer for its message is refused, in ms. */
  readonly receiveTimeoutMs: number;
}

type Call = ServerUnaryCall<Buffer, Buffer>;

/**
 * OTLP/gRPC: `Export` of the three services, on message bytes that take the same way as a body over HTTP.
 * Failures carry a `google.rpc.Status` in `grpc-status-details-bin`. Source: OTLP specification, "OTLP/gRPC".
 */
export class OtlpGrpc {
  private readonly options: OtlpGrpcOptions;
  private readonly server: Server;
  private readonly arrivals = new WeakMap<Metadata, { arrival: CallArrival; visit: Visit }>();

  constructor(options: OtlpGrpcOptions) {
    this.options = options;
    this.server = new Server({
      "grpc.max_receive_message_length": options.maxDecompressedBytes,
      "grpc.max_concurrent_streams": MAX_CONCURRENT_STREAMS,
      "grpc.keepalive_time_ms": KEEP_ALIVE_MS,
      "grpc.keepalive_timeout_ms": KEEP_ALIVE_ANSWER_MS,
      "grpc.max_connection_idle_ms": MAX_IDLE_MS,
      interceptors: [this.admission()],
    });
    for (const signal of SIGNALS) {
      this.server.addService(serviceOf(signal), {
        Export: (call: Call, answer: sendUnaryData<Buffer>) => void this.export(signal, call, answer),
      });
    }
  }

  /** Opens the port and returns it (`port` 0: any free one). Throws when it cannot be had. */
  listen(host: string, port: number): Promise<number> {
    const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    return new Promise((resolve, reject) => {
      this.server.bindAsync(address, serverCredentials(this.options.tls), (error, bound) => {
        if (error === null) {
          for (const server of serversOf(this.server)) this.options.connections.watch(server);
          resolve(bound);
        } else reject(Object.assign(error, /EADDRINUSE/.test(error.message) && { code: "EADDRINUSE" }));
      });
    });
  }

  /** Takes no new call, lets those in flight end for `graceMs` at most, and closes. */
  async close(graceMs: number): Promise<void> {
    const forced = setTimeout(() => this.server.forceShutdown(), graceMs);
    await new Promise<void>((resolve) => this.server.tryShutdown(() => resolve()));
    clearTimeout(forced);
  }

  /** Asks for the token and the room before a byte of the message is read. */
  private admission(): ServerInterceptor {
    const { receiver, heldBytes, telemetry, receiveTimeoutMs } = this.options;
    return (method, call) => {
      const arrival = new CallArrival(streamOf(call), heldBytes);
      const signal = SIGNALS.find((name) => method.path.startsWith(`/${SERVICES[name]}/`)) as Signal;
      arrival.onEnd((code) =>
        telemetry.requests.inc({ protocol: "grpc", signal, status: status[code] ?? String(code) }),
      );
      let refused = false;
      const refuse = (error: unknown) => {
        refused = true;
        call.sendStatus(this.statusOf(error));
        arrival.stop();
      };
      return new ServerInterceptingCall(call, {
        start: (next) => {
          let timer: NodeJS.Timeout | undefined;
          arrival.onEnd(() => clearTimeout(timer));
          next({
            onReceiveMetadata: (metadata, pass) => {
              let visit: Visit;
              try {
                visit = receiver.admit(authorizationOf(metadata));
              } catch (error) {
                refuse(error);
                return;
              }
              arrival.onEnd(() => visit.end());
              timer = setTimeout(() => refuse(new ReceiveTimeout()), receiveTimeoutMs);
              arrival.watch(visit, refuse);
              this.arrivals.set(metadata, { arrival, visit });
              pass(metadata);
            },
            onReceiveMessage: (message, pass) => {
              if (!refused) pass(message);
            },
            onReceiveHalfClose: (pass) => {
              clearTimeout(timer);
              if (!refused) pass();
            },
          });
        },
      });
    };
  }

  private async export(signal: Signal, call: Call, answer: sendUnaryData<Buffer>): Promise<void> {
    const body = call.request;
    try {
      const admitted = this.arrivals.get(call.metadata);
      if (admitted === undefined) throw new Error("a call came past its admission");
      const { arrival, visit } = admitted;
      const { sentBytes } = arrival;
      if (sentBytes !== body.length) arrival.hold(body.length);
      const reply = await this.options.receiver.receive({
        visit,
        signal,
        encoding: "protobuf",
        body,
        sentBytes,
        onUndelivered: (undelivered) => {
          arrival.onEnd((code) => {
            if (code !== status.OK) undelivered();
          });
        },
      });
      answer(null, reply);
    } catch (error) {
      answer(this.statusOf(error));
    }
  }

  private statusOf(error: unknown): { code: number; details: string; metadata: Metadata } {
    const failure = failureOf(error, this.options.log);
    const metadata = new Metadata();
    metadata.set(STATUS_DETAILS, statusReply("protobuf", failure));
    return { code: grpcCode(failure), details: failure.message, metadata };
  }
}

function serviceOf(signal: Signal): ServiceDefinition {
  const asIs = (bytes: Buffer) => bytes;
  return {
    Export: {
      path: `/${SERVICES[signal]}/Export`,
      requestStream: false,
      responseStream: false,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  };
}
