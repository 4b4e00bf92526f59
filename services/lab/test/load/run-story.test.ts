import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { runStory } from "../../src/load/run-story.ts";
import type { Phase } from "../../src/load/story.ts";

const MAIN = fileURLToPath(new URL("../../dist/load/main.js", import.meta.url));

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

function phase(seconds: number, rest: Partial<Phase>): Phase {
  return { name: "test", title: "Test", text: "A test.", seconds, streams: [], ...rest };
}

describe("the player", () => {
  it("measures from the intended start, so a service that stops for a while is not forgiven", async () => {
    const STOP_MS = 600;
    let stopped = false;
    const { url } = await serve((_request, response) => {
      if (!stopped) {
        stopped = true;
        // The whole service stands still, as a blocked event loop does.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STOP_MS);
      }
      response.end("{}");
    });
    const streams: Phase["streams"] = [{ path: "/", targets: ["node"], ratePerSecond: 50 }];
    const { phases, interrupted } = await runStory({ urls: { node: url }, phases: [phase(1, { streams })] });
    const view = phases[0]!.targets.node!;
    expect(interrupted).toBe(false);
    expect(view).toMatchObject({ requests: 50, errors: 0, shed: 0 });
    // About 30 of 50 arrive during the stop and wait for the rest of it: half of all wait longer than 50 ms.
    expect(view.p50).toBeGreaterThan(0.05);
    expect(view.p99).toBeGreaterThan(0.45);
  });

  it("counts answers that are no success and services that are away as errors", async () => {
    const { url } = await serve((_request, response) => response.writeHead(503).end());
    const { url: away, server } = await serve(() => {});
    server.close();
    const streams: Phase["streams"] = [{ path: "/", targets: ["node", "django"], ratePerSecond: 20 }];
    const { phases } = await runStory({ urls: { node: url, django: away }, phases: [phase(0.5, { streams })] });
    expect(phases[0]!.targets.node).toMatchObject({ requests: 10, errors: 10, p50: null });
    expect(phases[0]!.targets.django).toMatchObject({ requests: 10, errors: 10, p50: null });
  });

  it("holds the brake of a stream, and counts what it did not send", async () => {
    let open = 0;
    let mostOpen = 0;
    const { url } = await serve((_request, response) => {
      mostOpen = Math.max(mostOpen, ++open);
      setTimeout(() => {
        open--;
        response.end();
      }, 250);
    });
    const streams: Phase["streams"] = [
      { path: "/", targets: ["node"], burst: { size: 10, everySeconds: 0.5 }, maxUnanswered: 4 },
    ];
    const { phases } = await runStory({ urls: { node: url }, phases: [phase(1, { streams })] });
    expect(mostOpen).toBe(4);
    expect(phases[0]!.targets.node).toMatchObject({ requests: 8, shed: 12, errors: 0 });
  });

  it("announces each phase to the ingest, with the token, and plays on when that fails", async () => {
    const received: { authorization: string | undefined; body: string }[] = [];
    const { url: ingest } = await serve(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      received.push({ authorization: request.headers.authorization, body });
      response.writeHead(received.length === 1 ? 200 : 401).end("{}");
    });
    const { url } = await serve((_request, response) => response.end());
    const streams: Phase["streams"] = [{ path: "/", targets: ["node"], ratePerSecond: 20 }];
    const warnings: string[] = [];
    const played = await runStory({
      urls: { node: url },
      phases: [phase(0.3, { streams }), phase(0.3, { streams, title: "Second" })],
      annotations: { endpoint: ingest, token: "secret" },
      onWarning: (message) => warnings.push(message),
    });
    expect(played.phases).toHaveLength(2);
    expect(received.map((each) => each.authorization)).toEqual(["Bearer secret", "Bearer secret"]);
    const { resourceLogs } = JSON.parse(received[0]!.body);
    expect(resourceLogs[0].resource.attributes).toContainEqual({
      key: "service.name",
      value: { stringValue: "tidemark-lab" },
    });
    const record = resourceLogs[0].scopeLogs[0].logRecords[0];
    expect(record.eventName).toBe("tidemark.annotation");
    expect(record.attributes).toContainEqual({ key: "tidemark.annotation.title", value: { stringValue: "Test" } });
    expect(record.attributes).toContainEqual({ key: "tidemark.annotation.duration", value: { doubleValue: 0.3 } });
    expect(Number(BigInt(record.timeUnixNano) / 1_000_000n)).toBe(played.phases[0]!.startedAt);
    expect(warnings).toEqual([`phases are not announced: ${ingest} answered 401`]);
  });

  it("opens the WebSockets one after the other, echoes on them and closes them", async () => {
    const { url, server } = await serve((_request, response) => response.end());
    const echo = new WebSocketServer({ server, path: "/ws/echo" });
    let largest = 0;
    echo.on("connection", (socket) => {
      largest = Math.max(largest, echo.clients.size);
      socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
    const sockets: Phase["sockets"] = { perTarget: 30, targets: ["node", "asgi"], messagesPerSecondEach: 5 };
    const { phases } = await runStory({ urls: { node: url }, phases: [phase(1, { sockets })] });
    const view = phases[0]!.targets.node!;
    expect(view).toMatchObject({ sockets: 30, errors: 0 });
    expect(view.requests).toBeGreaterThan(60);
    expect(largest).toBe(30);
    await expect.poll(() => echo.clients.size).toBe(0);
  });

  it("ends soon after the signal, long before its phase, with requests unanswered and sockets open", async () => {
    const { url, server } = await serve(() => {});
    new WebSocketServer({ server, path: "/ws/echo" });
    const stop = new AbortController();
    const streams: Phase["streams"] = [{ path: "/", targets: ["node"], ratePerSecond: 100 }];
    const sockets: Phase["sockets"] = { perTarget: 50, targets: ["node"], messagesPerSecondEach: 1 };
    const playing = runStory({
      urls: { node: url },
      phases: [phase(60, { streams, sockets })],
      repeat: true,
      signal: stop.signal,
    });
    let connections = 0;
    await expect
      .poll(() => server.getConnections((_error, count) => (connections = count)) && connections)
      .toBeGreaterThan(10);
    const stoppedMs = performance.now();
    stop.abort();
    expect((await playing).interrupted).toBe(true);
    expect(performance.now() - stoppedMs).toBeLessThan(10_000);
  });

  it("refuses to play to nobody", async () => {
    await expect(runStory({ urls: {} })).rejects.toThrow(TypeError);
  });
});

describe("the command", () => {
  async function command(args: string[], whenRunning?: (pid: number) => Promise<void>) {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    const closed = once(child, "close");
    if (whenRunning) {
      await expect.poll(() => stderr, { timeout: 30_000 }).toContain("Calm");
      await whenRunning(child.pid as number);
    }
    const [code] = await closed;
    return { code, stdout, stderr };
  }

  it.each([
    [[], /URL of at least one service/],
    [["--node-url", "localhost:80"], /--node-url must be an http URL/],
    [["--node-url", "http://127.0.0.1:1", "--duration", "soon"], /--duration must be a number/],
    [["--node-url", "http://127.0.0.1:1", "--duration", "2"], /at least 1 s/],
    [["--node-url", "http://127.0.0.1:1", "--duration", "60", "--phase-seconds", "2"], /not both/],
    [["--speed", "2"], /--speed/],
  ])("says what is wrong with %j", async (args, message) => {
    const { code, stderr } = await command(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it("ends cleanly and soon after SIGTERM and still prints what it measured", async () => {
    const { url } = await serve((_request, response) => response.end("{}"));
    let stoppedMs = 0;
    const { code, stdout } = await command(["--node-url", url, "--json"], async (pid) => {
      stoppedMs = performance.now();
      process.kill(pid, "SIGTERM");
    });
    expect(performance.now() - stoppedMs).toBeLessThan(10_000);
    expect(code).toBe(0);
    expect(JSON.parse(stdout.trim().split("\n").at(-1)!)).toMatchObject({
      interrupted: true,
      phases: [{ name: "calm" }],
    });
  });
});
