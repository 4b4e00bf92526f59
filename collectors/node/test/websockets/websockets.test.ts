import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { type AgentProcess, addressOf, TEST_NODES, until } from "../agent-process.ts";
import { eachTest } from "../each-test.ts";

const INBOUND = { "tidemark.connection.direction": "inbound" };
const OUTBOUND = { "tidemark.connection.direction": "outbound" };

describe.each(TEST_NODES)("WebSockets of a server under Node %s", (_version, node) => {
  const own = eachTest(node);
  let app: AgentProcess;
  const clients: { close(): void }[] = [];

  const serve = async (script = "sockets.mjs") => {
    app = own.run(script, { TIDEMARK_TRACES: "0" });
    return (await addressOf(app)).replace("http", "ws");
  };
  const open = async (url: string) => {
    const client = new WebSocket(url);
    clients.push({ close: () => client.terminate() });
    const greeted = once(client, "message");
    await once(client, "open");
    return { client, greeted };
  };
  const sum = (metric: string, attributes = {}) =>
    own.sink.select(metric, attributes).reduce((total, { value }) => total + value, 0);
  const last = (metric: string, attributes = {}) => own.sink.select(metric, attributes).at(-1)?.value;
  const messages = (direction: object) => sum("tidemark.websocket.messages", direction as Record<string, string>);

  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  it("count their messages and bytes, from the first one on and whenever they were accepted", async () => {
    const url = await serve();
    for (const path of ["/plain", "/later"]) {
      const { client, greeted } = await open(url + path);
      expect(String((await greeted)[0])).toBe("hello");
      const echoed = once(client, "message");
      client.send(Buffer.alloc(10_000, "x"));
      expect(((await echoed)[0] as Buffer).length).toBe(10_000);
    }
    await until("all messages are told", () => messages(INBOUND) === 2 && messages(OUTBOUND) === 4);
    // A frame of 10,000 bytes has a head of 4, of 8 from a client; one of 5 bytes a head of 2.
    await until("the bytes are told", () => sum("tidemark.websocket.bytes", OUTBOUND) === 2 * (10_004 + 7));
    expect(sum("tidemark.websocket.bytes", INBOUND)).toBe(2 * 10_008);
    expect(last("tidemark.connections", { ...INBOUND, "tidemark.connection.kind": "websocket" })).toBe(2);
    expect(last("tidemark.websocket.compressed")).toBe(0);
  });

  it("tell which are compressed, and the bytes as they were sent", async () => {
    const url = await serve();
    const { client, greeted } = await open(`${url}/deflate`);
    await greeted;
    const echoed = once(client, "message");
    client.send(Buffer.alloc(100_000, "x"));
    await echoed;
    await until("compression shows", () => last("tidemark.websocket.compressed") === 1);
    await until("all messages are told", () => messages(INBOUND) === 1 && messages(OUTBOUND) === 2);
    await until("the bytes are told", () => sum("tidemark.websocket.bytes", OUTBOUND) > 100);
    expect(sum("tidemark.websocket.bytes", OUTBOUND)).toBeLessThan(10_000);
    client.terminate();
    await until("none is left", () => last("tidemark.websocket.compressed") === 0);
  });

  it("show what waits for a slow receiver, until it is gone", async () => {
    const url = new URL(await serve());
    const slow = connect(Number(url.port), url.hostname);
    clients.push({ close: () => slow.destroy() });
    slow.on("error", () => {});
    slow.write(handshake("/flood"));
    await until("bytes wait", () => (last("tidemark.websocket.buffered") ?? 0) > 1 << 20);
    slow.destroy();
    await until("none is left", () => last("tidemark.websocket.buffered") === 0);
  });

  it("include those of Socket.IO", async () => {
    const url = await serve();
    const { client, greeted } = await open(`${url}/socket.io/?EIO=4&transport=websocket`);
    await greeted; // the server's handshake, message 1
    const connected = once(client, "message");
    client.send("40");
    await connected;
    const echoed = once(client, "message");
    client.send('42["echo","back"]');
    expect(String((await echoed)[0])).toBe('42["echo","back"]');
    await until("all messages are told", () => messages(INBOUND) === 2 && messages(OUTBOUND) === 3);
  });

  it("leave other implementations and refused upgrades as they are", async () => {
    const url = new URL(await serve());
    for (const [path, answer] of [
      ["/refuse", /^HTTP\/1.1 401 Unauthorized/],
      ["/other", /^HTTP\/1.1 101 Switching Protocols(.|\r\n)*hi$/],
    ] as const) {
      const socket = connect(Number(url.port), url.hostname);
      clients.push({ close: () => socket.destroy() });
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1");
      });
      socket.write(handshake(path));
      await until(`${path} is answered`, () => answer.test(text));
    }
    const websocket = { ...INBOUND, "tidemark.connection.kind": "websocket" };
    await until("the open one shows", () => last("tidemark.connections", websocket) === 1);
    expect(own.sink.select("tidemark.websocket.messages")).toEqual([]);
    expect(sum("tidemark.agent.errors")).toBe(0);
    expect(app.output().stderr).toBe("");
  });

  it("are seen in CommonJS too, where the server answers upgrades itself", async () => {
    const { greeted } = await open(await serve("sockets.cjs"));
    expect(String((await greeted)[0])).toBe("hello");
    await until("the message is told", () => messages(OUTBOUND) === 1);
  });
});

function handshake(path: string): string {
  const key = randomBytes(16).toString("base64");
  return [
    `GET ${path} HTTP/1.1`,
    "Host: localhost",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${key}`,
    "\r\n",
  ].join("\r\n");
}
