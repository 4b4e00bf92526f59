import { parseArgs } from "node:util";
import { runStory } from "./run-story.ts";
import { type Phase, STORY_SECONDS, story, storyOfEqualPhases } from "./story.ts";
import { phaseTable } from "./table.ts";

const HELP = `Plays the load story against the demo's services and prints what the client saw.

Usage: node services/lab/dist/load/main.js [options]

  --node-url URL          the Node service
  --django-url URL        Django under gunicorn
  --django-asgi-url URL   Django under uvicorn (WebSockets)
  --duration SECONDS      the whole story once in so many seconds (default ${STORY_SECONDS})
  --phase-seconds SECONDS phases of equal length instead
  --repeat                play it again and again until Ctrl-C
  --seed NUMBER           another seed, other arrival times (default 1)
  --json                  a last line of JSON with every number, times in seconds
  --help

The start of each phase is sent to TIDEMARK_ENDPOINT as an annotation, with TIDEMARK_TOKEN when set.
`;

const USAGE_ERROR = 2;

function fail(message: string): never {
  process.stderr.write(`${message}\nTry --help.\n`);
  process.exit(USAGE_ERROR);
}

function read() {
  try {
    return parseArgs({
      options: {
        "node-url": { type: "string" },
        "django-url": { type: "string" },
        "django-asgi-url": { type: "string" },
        duration: { type: "string" },
        "phase-seconds": { type: "string" },
        repeat: { type: "boolean", default: false },
        seed: { type: "string", default: "1" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return fail((error as Error).message);
  }
}

function httpUrl(option: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) {
    fail(`--${option} must be an http URL, got '${value}'`);
  }
  return value;
}

function number(option: string, value: string): number {
  const parsed = Number(value);
  if (value.trim() === "" || !Number.isFinite(parsed)) fail(`--${option} must be a number, got '${value}'`);
  return parsed;
}

function phasesFrom(duration: string | undefined, phaseSeconds: string | undefined): Phase[] {
  if (duration !== undefined && phaseSeconds !== undefined) fail("give --duration or --phase-seconds, not both");
  try {
    if (phaseSeconds !== undefined) return storyOfEqualPhases(number("phase-seconds", phaseSeconds));
    return story(duration === undefined ? STORY_SECONDS : number("duration", duration));
  } catch (error) {
    return fail((error as Error).message);
  }
}

const options = read();
if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const urls = {
  node: httpUrl("node-url", options["node-url"]),
  django: httpUrl("django-url", options["django-url"]),
  asgi: httpUrl("django-asgi-url", options["django-asgi-url"]),
};
const given = Object.fromEntries(Object.entries(urls).filter(([, url]) => url !== undefined));
if (Object.keys(given).length === 0) fail("give the URL of at least one service");
const seed = number("seed", options.seed);
const phases = phasesFrom(options.duration, options["phase-seconds"]);
const endpoint = process.env.TIDEMARK_ENDPOINT;
if (endpoint !== undefined && !URL.canParse(endpoint)) fail(`TIDEMARK_ENDPOINT must be a URL, got '${endpoint}'`);

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());

let printed = 0;
const result = await runStory({
  urls: given,
  phases,
  repeat: options.repeat,
  seed,
  signal: stop.signal,
  ...(endpoint !== undefined && { annotations: { endpoint, token: process.env.TIDEMARK_TOKEN } }),
  onPhaseStart: (phase) => process.stderr.write(`${phase.title} (${phase.seconds.toFixed(1)} s): ${phase.text}\n`),
  onPhaseEnd: (phase) => process.stdout.write(`${phaseTable(phase, printed++ === 0)}\n`),
  onWarning: (message) => process.stderr.write(`${message}\n`),
});
if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
