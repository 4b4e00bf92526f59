import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { WebhookBody } from "../../src/index.ts";

/** Reads a whole request body. */
async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function listen(server: Server, port = 0): Promise<{ url: string; port: number; close(): Promise<void> }> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

export interface Received {
  path: string;
  headers: NodeJS.Dict<string | string[]>;
  body: WebhookBody;
  atMs: number;
}

/** A webhook receiver that remembers what it got. */
export async function startReceiver(port = 0) {
  const received: Received[] = [];
  const state = { status: 200 };
  const server = createServer(async (request, response) => {
    const body = JSON.parse(await text(request)) as WebhookBody;
    if (state.status < 300)
      received.push({ path: request.url ?? "", headers: request.headers, body, atMs: Date.now() });
    response.writeHead(state.status).end();
  });
  return { received, state, ...(await listen(server, port)) };
}

export type Answer = { service: string; value: number | null }[] | { error: string } | "hang";

/** Stands in for ClickHouse where only the conversation matters: answers a query by the name in its text, keeps inserted rows. */
export async function startClickHouse(answers: Record<string, Answer>, port = 0) {
  const inserted: Record<string, unknown>[] = [];
  const queries: string[] = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "", "http://clickhouse");
    const body = await text(request);
    const sql = url.searchParams.get("query") ?? body;
    if (/^INSERT/i.test(sql.trim())) {
      for (const line of body.split("\n")) if (line.startsWith("{")) inserted.push(JSON.parse(line));
      response.end();
      return;
    }
    queries.push(sql);
    const name = Object.keys(answers).find((key) => sql.includes(key));
    const answer = name === undefined ? [] : answers[name]!;
    if (answer === "hang") return;
    if ("error" in answer) {
      response
        .writeHead(500, { "x-clickhouse-exception-code": "60" })
        .end(`Code: 60. DB::Exception: ${answer.error}. (UNKNOWN_TABLE)`);
      return;
    }
    response.writeHead(200, { "content-type": "application/json" }).end(
      JSON.stringify({
        meta: [
          { name: "service", type: "String" },
          { name: "value", type: "Float64" },
        ],
        data: answer.map(({ service, value }) => [service, value]),
        rows: answer.length,
      }),
    );
  });
  return { inserted, queries, ...(await listen(server, port)) };
}
