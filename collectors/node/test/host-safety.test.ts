import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type AgentProcess,
  addressOf,
  PRELOAD,
  REGISTER_URL,
  runWithAgent,
  TEST_NODES,
  until,
} from "./agent-process.ts";
import { type Sink, startSink } from "./otlp-sink.ts";

const UNREACHABLE = "http://127.0.0.1:9";

describe.each(TEST_NODES)("the agent in somebody's process on Node %s", (_version, node) => {
  let sink: Sink;
  const processes: AgentProcess[] = [];
  const run = (
    script: string | { code: string },
    endpoint: string,
    environment: Record<string, string | undefined> = {},
    preload = PRELOAD,
  ) => {
    const started = runWithAgent(script, endpoint, environment, preload, node);
    processes.push(started);
    return started;
  };

  beforeEach(async () => {
    sink = await startSink();
  });
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((started) => started.stop()));
    await sink.close();
  });

  // What ends before the agent's thread is ready has no last export, so the program waits for a first one.
  const served = (url: string) => `
    import { createServer } from "node:http";
    const server = createServer((request, response) => response.end("x")).listen(0, "127.0.0.1", async () => {
      while (await fetch("${url}").then((response) => response.text()) === "0");
      await fetch("http://127.0.0.1:" + server.address().port).then((response) => response.text());
      console.log("served");
      server.closeAllConnections();
      server.close();
      end();
    });
    `;
  const endings: [string, string, number, RegExp][] = [
    ["returns", "function end() {}", 0, /^$/],
    ["exits with 3", "function end() { process.exit(3) }", 3, /^$/],
    ["throws", "function end() { setTimeout(() => { throw new Error('mine') }) }", 1, /Error: mine/],
    ["rejects", "function end() { Promise.reject(new Error('mine')) }", 1, /Error: mine/],
  ];
  // The last export has half a second, which a machine full of other work may exceed: hence the second try.
  it.each(endings)(
    "sends the last numbers and changes nothing when the program %s",
    { retry: 2 },
    async (_how, end, code, stderr) => {
      const fresh = await startSink();
      try {
        const program = run({ code: served(fresh.url) + end }, fresh.url, { TIDEMARK_EXPORT_INTERVAL: "2" });
        expect(await program.ended).toEqual({ code, signal: null });
        expect(program.output().stdout).toBe("served\n");
        expect(program.output().stderr).toMatch(stderr);
        expect(program.output().stderr).not.toMatch(/tidemark|debugger/i);
        const requests = fresh.select("http.server.request.duration");
        expect(requests.map(({ histogram }) => histogram?.count)).toEqual([1]);
        // Every number arrives once: the intervals follow each other without gap or overlap.
        const intervals = fresh.select("process.cpu.time", { "cpu.mode": "user" });
        for (const [index, { startMs }] of intervals.entries()) {
          if (index > 0) expect(startMs).toBe(intervals[index - 1]?.timeMs);
        }
      } finally {
        await fresh.close();
      }
    },
  );

  it("lets SIGTERM kill the process as without it", async () => {
    const app = run("shop.mjs", sink.url);
    await addressOf(app);
    await until("an export", () => sink.points.length > 0);
    app.child.kill("SIGTERM");
    expect(await app.ended).toEqual({ code: null, signal: "SIGTERM" });
    expect(app.output().stderr).toBe("");
  });

  it("leaves the program's own SIGTERM handler to end it, and then sends the last numbers", async () => {
    const code = `
      process.on("SIGTERM", () => process.exit(143));
      setTimeout(() => console.log("{}"), 700);
      setInterval(() => {}, 1000);`;
    const app = run({ code }, sink.url, { TIDEMARK_EXPORT_INTERVAL: "60" });
    await until("it is up", () => app.output().stdout !== "");
    app.child.kill("SIGTERM");
    expect(await app.ended).toEqual({ code: 143, signal: null });
    expect(sink.select("process.uptime")).toHaveLength(1);
  });

  it("does not keep a program alive, with or without anybody to send to", async () => {
    for (const endpoint of [sink.url, UNREACHABLE]) {
      const started = performance.now();
      const program = run({ code: 'setTimeout(() => console.log("done"), 1500)' }, endpoint);
      expect(await program.ended).toEqual({ code: 0, signal: null });
      expect(program.output()).toEqual({ stdout: "done\n", stderr: "" });
      expect(performance.now() - started).toBeLessThan(8000);
    }
  });

  it("serves on when the endpoint refuses, and prints nothing", async () => {
    const app = run("shop.mjs", UNREACHABLE);
    const url = await addressOf(app);
    for (let request = 0; request < 20; request++) expect((await fetch(`${url}/plain`)).status).toBe(200);
    expect(app.output().stderr).toBe("");
  });

  it("keeps what it could not send, and sends it later", async () => {
    let status = 503;
    const later = await startSink(() => status);
    try {
      const app = run("shop.mjs", later.url, { TIDEMARK_EXPORT_INTERVAL: "0.2" });
      const url = await addressOf(app);
      await fetch(`${url}/plain`).then((response) => response.text());
      await until("an export was refused", () => later.requests.length > 0);
      status = 200;
      const plain = { "http.route": "/plain" };
      await until("the request arrives", () => later.select("http.server.request.duration", plain).length > 0);
      expect(later.select("http.server.request.duration", plain)).toHaveLength(1);
    } finally {
      await later.close();
    }
  });

  it("starts once under NODE_OPTIONS, and not again in its own thread", async () => {
    const code = `
      import { Worker } from "node:worker_threads";
      const worker = new Worker("require('node:worker_threads').parentPort.postMessage(1)", { eval: true });
      worker.on("message", () => setTimeout(() => console.log("done"), 1200));`;
    const program = run({ code }, sink.url, { NODE_OPTIONS: `--import=${REGISTER_URL}` }, []);
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.output()).toEqual({ stdout: "done\n", stderr: "" });
    const instances = new Set(sink.points.map(({ resource }) => resource["service.instance.id"]));
    expect(instances.size).toBe(1);
  });

  it("is off with TIDEMARK_DISABLED, and with a setting that cannot be used", async () => {
    const wrong = 'tidemark: the agent is off: TIDEMARK_EXPORT_INTERVAL must be a number, got "soon"\n';
    for (const [setting, stderr] of [
      [{ TIDEMARK_DISABLED: "1" }, ""],
      [{ TIDEMARK_EXPORT_INTERVAL: "soon" }, wrong],
    ] as const) {
      const program = run({ code: 'setTimeout(() => console.log("done"), 900)' }, sink.url, setting);
      expect(await program.ended).toEqual({ code: 0, signal: null });
      expect(program.output()).toEqual({ stdout: "done\n", stderr });
    }
    expect(sink.requests).toEqual([]);
  });

  it("gives each cluster worker an identity of its own within the group", async () => {
    const code = `
      import cluster from "node:cluster";
      import { createServer } from "node:http";
      if (cluster.isPrimary) { cluster.fork(); cluster.fork(); }
      else createServer((request, response) => response.end()).listen(0, "127.0.0.1");`;
    const primary = run({ code }, sink.url);
    const workers = await until("both workers speak", () => {
      const resources = sink.points.map(({ resource }) => resource);
      const indexes = new Set(resources.map((resource) => resource["tidemark.worker.index"]));
      return indexes.has(1) && indexes.has(2) && indexes.has(undefined as never) ? resources : undefined;
    });
    const by = (key: string) => new Set(workers.map((resource) => resource[key]));
    expect(by("service.instance.id").size).toBe(3);
    expect(by("process.pid").size).toBe(3);
    expect([...by("tidemark.group.id")]).toEqual([`${workers[0]?.["host.name"]}:${primary.child.pid}`]);
    const leader = workers.find((resource) => resource["process.pid"] === primary.child.pid);
    expect(leader).not.toHaveProperty("tidemark.worker.index");
  });
});
