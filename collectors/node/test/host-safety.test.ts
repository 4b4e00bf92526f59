import { describe, expect, it } from "vitest";
import { addressOf, PRELOAD, REGISTER_URL, REQUIRED, TEST_NODES, until } from "./agent-process.ts";
import { eachTest } from "./each-test.ts";
import { startSink } from "./otlp-sink.ts";
import { expectSameWhileLoading } from "./processes/ending.ts";

const UNREACHABLE = "http://127.0.0.1:9";

describe.each(TEST_NODES)("the agent in somebody's process on Node %s", (version, node) => {
  const own = eachTest(node);
  const run = (
    script: string | { code: string },
    endpoint: string,
    environment: Record<string, string | undefined> = {},
    preload?: string[],
  ) => own.run(script, environment, preload, endpoint);

  it("stays away from the inspector where the permission model forbids it", async () => {
    // Its flag has another name on Node 20.
    const flag = version.startsWith("v20.") ? "--experimental-permission" : "--permission";
    const code = `
      const block = () => { const end = performance.now() + 300; while (performance.now() < end); };
      setTimeout(() => { block(); setTimeout(() => process.exit(0), 1000); }, 4000);`;
    const permitted = [flag, "--allow-worker", "--allow-fs-read=*"];
    const app = run({ code }, own.sink.url, { NODE_NO_WARNINGS: "1" }, [...permitted, ...PRELOAD]);
    expect(await app.ended).toEqual({ code: 0, signal: null });
    expect(app.output().stderr).toBe("");
    expect(own.sink.points.length).toBeGreaterThan(0);
    for (const { attributes } of own.sink.logs) expect(attributes).not.toHaveProperty("code.function.name");
  });

  it("does not keep a program alive, with or without anybody to send to", async () => {
    for (const endpoint of [own.sink.url, UNREACHABLE]) {
      const program = run({ code: 'setTimeout(() => console.log("done"), 1500)' }, endpoint);
      expect(await program.ended).toEqual({ code: 0, signal: null });
      expect(program.output()).toEqual({ stdout: "done\n", stderr: "" });
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

  it.each([["--import", REGISTER_URL], REQUIRED])(
    "starts once under NODE_OPTIONS with %s, and not again in its own thread",
    async (how, preload) => {
      const code = `
      import { Worker } from "node:worker_threads";
      const worker = new Worker("require('node:worker_threads').parentPort.postMessage(1)", { eval: true });
      worker.on("message", () => setTimeout(() => console.log("done"), 1200));`;
      const program = run({ code }, own.sink.url, { NODE_OPTIONS: `${how}="${preload}"` }, []);
      expect(await program.ended).toEqual({ code: 0, signal: null });
      expect(program.output()).toEqual({ stdout: "done\n", stderr: "" });
      const instances = new Set(own.sink.points.map(({ resource }) => resource["service.instance.id"]));
      expect(instances.size).toBe(1);
    },
  );

  it("is not on the stack of what is thrown while a CommonJS file is loaded", () =>
    expectSameWhileLoading(own.sink.url, node));

  it("is off with TIDEMARK_DISABLED, and with a setting that cannot be used", async () => {
    const wrong = 'tidemark: the agent is off: TIDEMARK_EXPORT_INTERVAL must be a number, got "soon"\n';
    for (const [setting, stderr] of [
      [{ TIDEMARK_DISABLED: "1" }, ""],
      [{ TIDEMARK_EXPORT_INTERVAL: "soon" }, wrong],
    ] as const) {
      const program = run({ code: 'setTimeout(() => console.log("done"), 900)' }, own.sink.url, setting);
      expect(await program.ended).toEqual({ code: 0, signal: null });
      expect(program.output()).toEqual({ stdout: "done\n", stderr });
    }
    expect(own.sink.requests).toEqual([]);
  });

  it("gives each cluster worker an identity of its own within the group", async () => {
    const code = `
      import cluster from "node:cluster";
      import { createServer } from "node:http";
      if (cluster.isPrimary) { cluster.fork(); cluster.fork(); }
      else createServer((request, response) => response.end()).listen(0, "127.0.0.1");`;
    const primary = run({ code }, own.sink.url);
    const workers = await until("both workers speak", () => {
      const resources = own.sink.points.map(({ resource }) => resource);
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
