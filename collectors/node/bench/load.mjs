import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";

const CONNECTIONS = 32;
const ENDLESS_SECONDS = 86_400;
const QUIET = { stdio: ["ignore", "ignore", "inherit"] };
const REQUEST = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/** Runs a command to its end; undefined where it is not installed. */
async function output(command, parameters) {
  const child = spawn(command, parameters, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (chunk) => {
    text += chunk;
  });
  try {
    const [code] = await once(child, "close");
    return code === 0 ? text : undefined;
  } catch {
    return undefined;
  }
}

/** The load generator: `wrk` where there is one, else this file in a process of its own. */
export async function loadGenerator() {
  const wrk = (await output("sh", ["-c", "command -v wrk"])) !== undefined;
  return {
    name: wrk ? "wrk" : "own",
    /** Keeps 32 connections busy for some seconds; returns the number of requests answered. */
    async run(port, seconds) {
      const text = wrk
        ? await output("wrk", ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, `http://127.0.0.1:${port}/`])
        : await output(process.execPath, [fileURLToPath(import.meta.url), String(port), String(seconds)]);
      const requests = Number(/(\d+) requests in/.exec(text ?? "")?.[1]);
      if (!(requests > 0)) throw new Error(`the load generator did not tell its requests: ${text}`);
      return requests;
    },
    /**
     * A generator that stands still whenever it is not let go, with its connections open: load in slices far shorter
     * than a run. Who is served counts the requests.
     */
    start(port) {
      const child = wrk
        ? spawn("wrk", ["-t1", `-c${CONNECTIONS}`, `-d${ENDLESS_SECONDS}s`, `http://127.0.0.1:${port}/`], QUIET)
        : spawn(process.execPath, [fileURLToPath(import.meta.url), String(port), String(ENDLESS_SECONDS)], QUIET);
      const kill = () => child.kill("SIGKILL"); // what stands still would outlive us
      process.once("exit", kill);
      const ended = once(child, "close");
      ended.catch(() => {}); // told by the requests that are missing
      return {
        pid: child.pid,
        go: () => child.kill("SIGCONT"),
        pause: () => child.kill("SIGSTOP"),
        end() {
          process.removeListener("exit", kill);
          kill();
          return ended;
        },
      };
    },
  };
}

/** One request at a time on each connection, as wrk does. */
function drive(port, seconds) {
  let requests = 0;
  for (let number = 0; number < CONNECTIONS; number++) {
    const socket = connect(port, "127.0.0.1", () => socket.write(REQUEST));
    socket.on("data", () => {
      requests += 1; // the answer of a handler that does nothing comes in one piece
      socket.write(REQUEST);
    });
  }
  setTimeout(
    () => process.stdout.write(`${requests} requests in ${seconds}s\n`, () => process.exit(0)),
    seconds * 1000,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) drive(Number(process.argv[2]), Number(process.argv[3]));
