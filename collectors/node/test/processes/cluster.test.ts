import { describe, expect, it } from "vitest";
import { addressOf, REGISTER_URL, TEST_NODES, until } from "../agent-process.ts";
import { eachTest } from "../each-test.ts";
import type { Point } from "../otlp-sink.ts";

const CLUSTER = { "tidemark.resource.kind": "worker", "tidemark.resource.name": "cluster" };
/** A cluster of two that replaces workers; one ends as the path of a request says. */
const PROGRAM = `
  import cluster from "node:cluster";
  import { createServer } from "node:http";
  if (cluster.isPrimary) {
    cluster.fork();
    cluster.fork();
    cluster.on("exit", () => cluster.fork());
    cluster.once("listening", (_worker, address) => console.log(JSON.stringify(address)));
  } else {
    createServer((request, response) => {
      response.end(String(cluster.worker.id));
      if (request.url === "/kill") response.on("close", () => process.kill(process.pid, "SIGKILL"));
      if (request.url === "/fail") response.on("close", () => process.exit(3));
    }).listen(0, "127.0.0.1");
  }`;

describe.each(TEST_NODES)("processes that an application starts under Node %s", (_version, node) => {
  const own = eachTest(node);
  const sum = (points: readonly Point[]) => points.reduce((total, { value }) => total + value, 0);

  it("count as cluster workers: how many are up, how they ended, how many were replaced", async () => {
    const program = own.run({ code: PROGRAM }, { TIDEMARK_TRACES: "0" });
    const url = await addressOf(program);
    const up = () => own.sink.select("tidemark.resource.capacity", CLUSTER).at(-1)?.value;
    await until("both are up", () => up() === 2);
    for (const [path, end] of [
      ["/kill", "SIGKILL"],
      ["/fail", "3"],
    ]) {
      await fetch(url + path, { headers: { connection: "close" } }).then((response) => response.text());
      await until(`${end} is told`, () => sum(own.sink.select("tidemark.worker.exits", { "error.type": end! })) === 1);
    }
    await until("both were replaced", () => sum(own.sink.select("tidemark.worker.restarts")) === 2);
    await until("two are up again", () => up() === 2);
    // Only the primary speaks of the cluster.
    const speakers = new Set(
      own.sink.select("tidemark.worker.restarts").map(({ resource }) => resource["process.pid"]),
    );
    expect([...speakers]).toEqual([program.child.pid]);
  });

  it("show how connections and requests are spread over the workers", async () => {
    const program = own.run({ code: PROGRAM }, { TIDEMARK_TRACES: "0" });
    const url = await addressOf(program);
    await until("both are up", () => own.sink.select("tidemark.resource.capacity", CLUSTER).at(-1)?.value === 2);
    const answered = new Map<number, number>();
    for (let request = 0; request < 20; request++) {
      const id = Number(await fetch(url, { headers: { connection: "close" } }).then((response) => response.text()));
      answered.set(id, (answered.get(id) ?? 0) + 1);
    }
    const spread = (metric: string, count: (point: Point) => number) => {
      const workers = new Map<number, number>();
      for (const point of own.sink.select(metric)) {
        const index = point.resource["tidemark.worker.index"];
        if (typeof index === "number") workers.set(index, (workers.get(index) ?? 0) + count(point));
      }
      return [...workers].filter(([, counted]) => counted > 0).sort(([a], [b]) => a - b);
    };
    const expected = [...answered].sort(([a], [b]) => a - b);
    for (const [metric, count] of [
      ["http.server.request.duration", (point: Point) => point.histogram?.count ?? 0],
      ["tidemark.connections.opened", (point: Point) => point.value],
    ] as const) {
      await until(`${metric} is told`, () => JSON.stringify(spread(metric, count)) === JSON.stringify(expected));
    }
  });

  it("have an agent each when NODE_OPTIONS is inherited, ES modules and CommonJS, and none starts another", async () => {
    const child = (code: string, type: string) => `["--input-type=${type}", "-e", ${JSON.stringify(code)}]`;
    const code = `
      import { spawn } from "node:child_process";
      const run = (parameters) => spawn(process.execPath, parameters, { stdio: "inherit" });
      run(${child('import "node:fs"; setTimeout(() => {}, 2000)', "module")});
      run(${child('require("node:fs"); setTimeout(() => {}, 2000)', "commonjs")});
      setTimeout(() => {}, 2000);`;
    const environment = { NODE_OPTIONS: `--import=${REGISTER_URL}`, TIDEMARK_TRACES: "0" };
    const program = own.run({ code }, environment, []);
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.output()).toEqual({ stdout: "", stderr: "" });
    const by = (key: string) => new Set(own.sink.points.map(({ resource }) => resource[key])).size;
    expect([by("process.pid"), by("service.instance.id"), by("tidemark.group.id")]).toEqual([3, 3, 3]);
  });
});
