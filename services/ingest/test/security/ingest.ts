import { connect, type Socket } from "node:net";
import { join } from "node:path";
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach } from "vitest";
import type { Replacements } from "../../src/app.ts";
import { buildApp, type Config } from "../../src/index.ts";
import { encode, gauge, METRICS, metricsRequest } from "../otlp-messages.ts";
import { temporaryDirectory } from "../processes.ts";

const EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

export interface Answer {
  readonly code: number;
  readonly metadata: Metadata;
}

/** An ingest with both ports open, without a ClickHouse. */
export class TestIngest {
  readonly app: FastifyInstance;
  readonly directory: string;
  readonly port: number;
  readonly grpcPort: number;
  private readonly remove: () => Promise<void>;
  private readonly ends: (() => void)[] = [];

  private constructor(app: FastifyInstance, directory: string, grpcPort: number, remove: () => Promise<void>) {
    this.app = app;
    this.directory = directory;
    this.remove = remove;
    this.port = (app.server.address() as { port: number }).port;
    this.grpcPort = grpcPort;
  }

  static async start(config: Partial<Config> = {}, replacements: Replacements = {}): Promise<TestIngest> {
    const { path, remove } = await temporaryDirectory();
    const app = await buildApp(
      { dataDirectory: path, clickhouseUrl: "http://tidemark:x@127.0.0.1:9/tidemark", logLevel: "silent", ...config },
      replacements,
    );
    await app.listen({ host: "127.0.0.1", port: 0 });
    return new TestIngest(app, path, await app.grpc.listen("127.0.0.1", 0), remove);
  }

  async close(): Promise<void> {
    for (const end of this.ends) end();
    await this.app.close();
    await this.remove();
  }

  post(token: string | undefined, body: Buffer = metrics()): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}/v1/metrics`, {
      method: "POST",
      headers: { "content-type": "application/x-protobuf", ...(token && { authorization: `Bearer ${token}` }) },
      body: new Uint8Array(body),
    });
  }

  client(channel: ChannelCredentials = credentials.createInsecure(), options: ClientOptions = {}): Client {
    const client = new Client(`localhost:${this.grpcPort}`, channel, { "grpc.enable_retries": 0, ...options });
    this.ends.push(() => client.close());
    return client;
  }

  call(token: string | undefined, body: Buffer = metrics(), client = this.client()): Promise<Answer> {
    const headers = new Metadata();
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    const asIs = (bytes: Buffer) => bytes;
    return new Promise((resolve) => {
      client.makeUnaryRequest(EXPORT, asIs, asIs, body, headers, {}, (error: ServiceError | null) =>
        resolve({ code: error?.code ?? status.OK, metadata: error?.metadata ?? new Metadata() }),
      );
    });
  }

  /** A plain connection to the HTTP port; what came back is in `received`. */
  socket(port = this.port): { socket: Socket; received: () => string; closed: () => boolean } {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    let closed = false;
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      closed = true;
    });
    this.ends.push(() => socket.destroy());
    return { socket, received: () => text, closed: () => closed };
  }

  async metric(name: string): Promise<number> {
    const { payload } = await this.app.inject({ url: "/metrics" });
    const line = payload.split("\n").find((candidate) => candidate.startsWith(`${name} `));
    return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(" ")));
  }
}

/** A folder for the tests of a file, new for each of them. */
export interface TokensFolder {
  readonly path: string;
  /** Where the tokens file would be. */
  readonly file: string;
  /** An ingest that ends with the test. */
  start(config?: Partial<Config>, replacements?: Replacements): Promise<TestIngest>;
}

/** To be called once in a file of tests, which it gives a folder before each and takes it after. */
export function tokensFolder(): TokensFolder {
  let folder: Awaited<ReturnType<typeof temporaryDirectory>>;
  let started: TestIngest[] = [];
  beforeEach(async () => {
    folder = await temporaryDirectory();
  });
  afterEach(async () => {
    for (const ingest of started) await ingest.close();
    started = [];
    await folder.remove();
  });
  return {
    get path() {
      return folder.path;
    },
    get file() {
      return join(folder.path, "tokens.json");
    },
    async start(config, replacements) {
      const ingest = await TestIngest.start(config, replacements);
      started.push(ingest);
      return ingest;
    },
  };
}

let sent = 0;

/** A request with one number, different each time. */
export function metrics(service = "shop"): Buffer {
  return encode(METRICS, metricsRequest([gauge("m", sent++, Date.now())], { "service.name": service }));
}
