/**
 * `node test/bench/run.mjs record-demo`: plays the demo once and keeps every OTLP request of its services, as the
 * recording that `npm run bench:storage` replays. A proxy stands between the services and the ingest; a request is
 * kept when the ingest has acknowledged it. Names and paths of the machine are replaced by neutral ones.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { request } from "undici";
import { neutralNames } from "../support/neutral-names.ts";
import { mapTexts } from "../support/otlp-bytes.ts";
import { encodeRecording, isJson, RECORDING, type RecordedRequest } from "../support/recording.ts";
import { freePorts, ROOT } from "../support/tidemark.ts";

const HELP = `Records the demo's OTLP requests: node test/bench/run.mjs record-demo [options]

  --duration SECONDS  length of the load story (default 1800)
  --out FILE          where to write (default ${RECORDING.slice(ROOT.length)})
  --help
`;
const EXPORT_INTERVAL_S = 2;
const MS_PER_S = 1000;
const HOP_BY_HOP = ["connection", "host", "keep-alive", "transfer-encoding", "content-length"];
/** Longer than the senders keep an idle connection. */
const KEEP_ALIVE_MS = 65_000;

const { values: options } = parseArgs({
  options: {
    duration: { type: "string", default: "1800" },
    out: { type: "string", default: RECORDING },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const neutral = neutralNames();
const kept: RecordedRequest[] = [];
let startedAt: number | undefined;
let refused = 0;

const [otlpPort = 0] = await freePorts(1);
const proxy = createServer((incoming, outgoing) => {
  void forward(incoming).then(
    ({ status, headers, body }) => outgoing.writeHead(status, headers).end(body),
    (error: Error) => outgoing.writeHead(503).end(error.message),
  );
});
proxy.keepAliveTimeout = KEEP_ALIVE_MS;
await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
const { port } = proxy.address() as AddressInfo;

const args = ["demo", "--headless", "--duration", options.duration, "--otlp-port", String(otlpPort)];
const code = await new Promise<number | null>((resolve) => {
  const demo = spawn(process.execPath, [join(ROOT, "services", "tidemark", "dist", "main.js"), ...args], {
    env: { ...process.env, TIDEMARK_DEMO_ENDPOINT: `http://127.0.0.1:${port}` },
    stdio: ["ignore", 2, 2],
  });
  demo.once("exit", resolve);
});
proxy.close();
proxy.closeAllConnections();
if (code !== 0 || startedAt === undefined) throw new Error(`the demo ended with ${code}; nothing is written`);
const file = encodeRecording({
  header: {
    startedAt: new Date(startedAt).toISOString(),
    seconds: Math.ceil((kept.at(-1)?.ms ?? 0) / MS_PER_S),
    exportIntervalSeconds: EXPORT_INTERVAL_S,
    note: "host, user and folder of the recording machine are replaced by demo-host, demo and /srv/tidemark",
  },
  requests: kept,
});
writeFileSync(options.out, file);
process.stdout.write(
  `${kept.length} requests (${refused} refused by the ingest and left out), ${file.length} bytes: ${options.out}\n`,
);

/** Hands one request on to the ingest, and keeps it when the answer is 200. */
async function forward(incoming: IncomingMessage) {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const sent = Buffer.concat(chunks);
  const path = incoming.url ?? "";
  const headers = withoutHopByHop(incoming.headers);
  const response = await request(`http://127.0.0.1:${otlpPort}${path}`, {
    method: incoming.method === "POST" ? "POST" : "GET",
    headers,
    body: incoming.method === "POST" ? sent : null,
  });
  const body = Buffer.from(await response.body.arrayBuffer());
  if (incoming.method === "POST" && response.statusCode === 200) {
    startedAt ??= Date.now();
    const contentType = incoming.headers["content-type"] ?? "";
    const plain = incoming.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
    const kind = { contentType, path };
    kept.push({
      ms: Date.now() - startedAt,
      ...kind,
      wireBytes: sent.length,
      body: mapTexts(plain, path, isJson(kind), neutral),
    });
  } else refused++;
  return { status: response.statusCode, headers: withoutHopByHop(response.headers), body };
}

function withoutHopByHop(headers: NodeJS.Dict<string | string[]>): Record<string, string | string[]> {
  const kept = Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name));
  return Object.fromEntries(kept) as Record<string, string | string[]>;
}
