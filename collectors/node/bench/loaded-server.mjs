import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export const REGISTER = new URL("../dist/register.js", import.meta.url);
const SERVER = fileURLToPath(new URL("server.mjs", import.meta.url));
const IDLE_THREAD = new URL("idle-thread.mjs", import.meta.url).href;
const OPENTELEMETRY = new URL("opentelemetry.mjs", import.meta.url).href;

/** What a server can run under. */
export const MODES = {
  none: { title: "no agent", preload: [], env: {} },
  again: { title: "no agent, a second server", preload: [], env: {} },
  thread: { title: "no agent, an idle worker thread", preload: [IDLE_THREAD], env: {} },
  metrics: { title: "Tidemark, metrics tier", preload: [REGISTER.href], env: { TIDEMARK_TRACES: "0" } },
  traces: { title: "Tidemark, metrics and trace tier", preload: [REGISTER.href], env: { TIDEMARK_TRACES: "1" } },
  otel: {
    title: "OpenTelemetry HTTP spans, all exported",
    preload: [OPENTELEMETRY],
    env: { OTEL_TRACES_SAMPLER: "parentbased_always_on" },
  },
  otel1: {
    title: "OpenTelemetry HTTP spans, 1 % sampled",
    preload: [OPENTELEMETRY],
    env: { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.01" },
  },
};

function forkServer(node, mode, endpoint) {
  const { preload, env } = MODES[mode];
  const inherited = Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|OTEL_|TIDEMARK_)/.test(name));
  return fork(SERVER, {
    execPath: node,
    execArgv: preload.flatMap((module) => ["--import", module]),
    env: {
      ...Object.fromEntries(inherited),
      TIDEMARK_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_SERVICE_NAME: "bench",
      ...env,
    },
  });
}

/**
 * Starts a server under a mode and a load generator of its own, which stands still but in its slices; each on its own
 * cores where these are given.
 */
export async function startLoaded(node, mode, endpoint, load, cores) {
  const child = forkServer(node, mode, endpoint);
  cores?.server(child.pid);
  let ended;
  let stopping = false;
  child.once("exit", (code) => {
    ended = code;
    if (!stopping) child.emit("error", new Error(`the server under ${mode} ended with ${code}`));
  });
  child.on("error", () => {}); // told by the answer that is waited for
  const answer = async () => {
    if (ended !== undefined) throw new Error(`the server under ${mode} ended with ${ended}`);
    const [message] = await once(child, "message");
    return message;
  };
  const read = () => {
    const message = answer();
    child.send("read");
    return message;
  };
  const { port } = await answer();
  const generator = load.start(port);
  cores?.load(generator.pid);
  generator.pause();
  return {
    /** Loads the server for some time: CPU time of the whole process, time and requests meanwhile, resident bytes after it. */
    async slice(ms) {
      const before = await read();
      generator.go();
      await new Promise((resolve) => setTimeout(resolve, ms));
      const after = await read();
      generator.pause();
      return {
        microseconds: after.cpuMicroseconds - before.cpuMicroseconds,
        wallMicroseconds: after.wallMicroseconds - before.wallMicroseconds,
        requests: after.requests - before.requests,
        rssBytes: after.rssBytes,
      };
    },
    async stop() {
      await generator.end();
      if (ended !== undefined) return;
      stopping = true;
      const exit = once(child, "exit");
      child.send("end");
      await exit;
    },
  };
}
