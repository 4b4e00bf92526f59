import { join } from "node:path";
import { defaultPython, labServices, type Postgres } from "@tidemark/lab";
import { freeInstead } from "../ports.ts";
import type { Running } from "../running.ts";
import type { Settings } from "../settings.ts";
import { inherited, packageDir } from "../stack.ts";

const NODE_PORT = 8002;
const DJANGO_PORT = 8001;
const ASGI_PORT = 8003;

export interface LabOptions {
  readonly running: Running;
  readonly settings: Settings;
  readonly postgres: Postgres;
  readonly exportIntervalSeconds: number;
  readonly env: NodeJS.ProcessEnv;
}

/** The demo's services, ready to be played with. */
export interface Lab {
  readonly addresses: Readonly<Record<string, string>>;
  /** Plays the load story: once within the given seconds, or again and again until stopped. Settles at its end. */
  play(durationSeconds: number | undefined): Promise<string>;
  /** Stops the services, which send what they still hold. */
  silence(): Promise<void>;
}

/**
 * Starts the three demo services with our agents in them.
 *
 * @throws Error with the end of its output where one does not start.
 */
export async function startLab({ running, settings, postgres, exportIntervalSeconds, env }: LabOptions): Promise<Lab> {
  const [nodePort = 0, djangoPort = 0, asgiPort = 0] = await freeInstead(
    [NODE_PORT, DJANGO_PORT, ASGI_PORT],
    "127.0.0.1",
  );
  // Somebody may stand between the services and the ingest, a recorder for example.
  const endpoint = env.TIDEMARK_DEMO_ENDPOINT || running.urls.otlp;
  const services = labServices({
    python: defaultPython(env),
    nodePort,
    djangoPort,
    asgiPort,
    databaseUrl: postgres.databaseUrl,
    eventsDatabaseUrl: postgres.eventsDatabaseUrl,
    endpoint,
    token: settings.token,
    exportIntervalSeconds,
  });
  const base = inherited(env);
  await Promise.all(
    services.map((service) => running.supervisor.start({ ...service, env: { ...base, ...service.env } })),
  );
  const url = (name: string): string => services.find((service) => service.name === name)?.url ?? "";
  return {
    addresses: {
      "Node service": url("lab-node"),
      "Django service": url("lab-django"),
      "Django (ASGI)": url("lab-django-asgi"),
    },
    play: (durationSeconds) => {
      const args = [join(packageDir("@tidemark/lab"), "dist", "load", "main.js")];
      args.push(
        "--node-url",
        url("lab-node"),
        "--django-url",
        url("lab-django"),
        "--django-asgi-url",
        url("lab-django-asgi"),
      );
      args.push(...(durationSeconds === undefined ? ["--repeat"] : ["--duration", String(durationSeconds)]));
      const tokens = settings.token ? { TIDEMARK_TOKEN: settings.token } : {};
      return running.supervisor.run({
        name: "load",
        command: process.execPath,
        args,
        env: { ...base, ...tokens, TIDEMARK_ENDPOINT: endpoint },
      });
    },
    silence: async () => {
      await Promise.all(services.map(({ name }) => running.supervisor.stopOne(name)));
    },
  };
}
