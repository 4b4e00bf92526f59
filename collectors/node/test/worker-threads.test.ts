import { describe, expect, it } from "vitest";
import { REGISTER_URL, TEST_NODES, until } from "./agent-process.ts";
import { eachTest } from "./each-test.ts";

/** In `code`: starts a worker thread that runs a file of `apps/threads`. */
const START = `
  import { Worker } from "node:worker_threads";
  const thread = (file, options) => new Worker(new URL(file, "${new URL("apps/threads/", import.meta.url)}"), options);
`;

describe.each(TEST_NODES)("worker threads of the application under Node %s", (version, node) => {
  const own = eachTest(node);
  const run = (code: string, environment: Record<string, string> = {}, preload?: string[]) =>
    own.run({ code: START + code }, { TIDEMARK_TRACES: "0", ...environment }, preload);
  const loops = (afterMs = 0) => {
    const busy = own.sink.select("tidemark.resource.busy", { "tidemark.resource.kind": "event_loop" });
    const fresh = busy.filter(({ timeMs }) => timeMs > afterMs);
    return new Set(fresh.map(({ attributes }) => String(attributes["tidemark.resource.name"])));
  };
  const threads = () => own.sink.select("tidemark.application.threads").at(-1)?.value;

  it("have an event loop each, with its wait, utilisation and collections, beside the main thread's", async () => {
    run('thread("busy.cjs"); thread("idle.mjs");');
    const loop = { "tidemark.resource.kind": "event_loop", "tidemark.resource.name": "worker-busy" };
    const role = { "tidemark.thread.role": "worker-busy" };
    await until("the busy thread shows", () => {
      const busy = own.sink.select("tidemark.resource.busy", loop).some(({ value }) => value > 0.5);
      const waits = own.sink
        .select("tidemark.resource.wait", loop)
        .some(({ histogram }) => (histogram?.max ?? 0) > 0.05);
      return busy && waits && own.sink.select("v8js.gc.duration", role).length > 0;
    });
    await until("all three show", () => loops().size === 3);
    expect([...loops()].sort()).toEqual(["main", "worker-busy", "worker-idle"]);
    const main = { "tidemark.resource.kind": "event_loop", "tidemark.resource.name": "main" };
    for (const name of ["capacity", "busy.max", "wait", "stall_age"]) {
      expect(own.sink.select(`tidemark.resource.${name}`, loop).length, name).toBeGreaterThan(0);
    }
    expect(own.sink.select("nodejs.eventloop.time", { ...role, "nodejs.eventloop.state": "active" })).not.toEqual([]);
    expect(own.sink.select("tidemark.resource.busy", main).at(-1)!.value).toBeLessThan(0.5);
    expect(new Set(own.sink.points.map(({ resource }) => resource["service.instance.id"])).size).toBe(1);
    expect(own.sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
    expect(threads()).toBe(2);
  });

  it("disappear when they end, are terminated or fall with the thread that started them; names are used again", async () => {
    run(`
      const ending = thread("short.cjs", { workerData: 3000 });
      const parent = thread("parent.mjs");
      parent.on("online", () => setTimeout(() => parent.terminate(), 3000));
      let left = 2;
      const ended = () => { if (--left === 0) thread("idle.mjs"); };
      ending.on("exit", ended);
      parent.on("exit", ended);`);
    await until("the three threads show", () => loops().size === 4);
    expect([...loops()].sort()).toEqual(["main", "worker-idle", "worker-parent", "worker-short"]);
    await until("one is left", () => threads() === 1);
    await until("the new one shows, alone", () => {
      const last = own.sink.points.at(-1)!.timeMs - 1;
      // The second name where the first one's last interval was not told yet when it started.
      return ["main,worker-idle", "main,worker-idle#2"].includes([...loops(last)].sort().join());
    });
  });

  it("are probed up to 16, and counted past that", async () => {
    run(`for (let number = 0; number < 18; number++) thread("idle.mjs");`);
    await until("all are counted", () => threads() === 18);
    await until("16 and the main thread show", () => loops().size === 17);
    expect([...loops()].filter((name) => name === "worker-idle" || name.startsWith("worker-idle#"))).toHaveLength(16);
  });

  it("neither keep the process alive for the agent nor print, with NODE_OPTIONS and with the agent off", async () => {
    for (const environment of [{}, { TIDEMARK_DISABLED: "1" }]) {
      const code = 'thread("short.cjs", { workerData: 1500 }).on("exit", () => console.log("ended"))';
      const program = run(code, { NODE_OPTIONS: `--import=${REGISTER_URL}`, ...environment }, []);
      expect(await program.ended).toEqual({ code: 0, signal: null });
      expect(program.output()).toEqual({ stdout: "ended\n", stderr: "" });
    }
    expect(loops()).toContain("worker-short");
  });

  it("are called by the name they were given where Node tells it, and by their file where it does not", async () => {
    const [major = 0, minor = 0] = version.slice(1).split(".").map(Number);
    const tells = major > 24 || (major === 24 && minor >= 6) || (major === 22 && minor >= 20);
    const called = tells ? "worker-resize" : "worker-idle";
    run('thread("idle.mjs", { name: "resize" });');
    await until("the name shows", () => loops().has(called));
  });
});
