import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { type Postgres, startPostgres } from "@tidemark/lab";
import { createStoreClient } from "@tidemark/store";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { collect, entryOf, freePorts, PYTHON, ROOT, stop, until } from "./support/tidemark.ts";

interface Service {
  image?: string;
  build?: { context: string; dockerfile: string };
  user?: string;
  command?: string[];
  working_dir?: string;
  read_only?: boolean;
  restart?: string;
  profiles?: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  ports?: string[];
  healthcheck?: { test: string[]; interval: string; timeout: string; retries: number };
  depends_on?: Record<string, { condition: string }>;
  deploy?: { resources?: { limits?: { cpus?: string; memory?: string } } };
}

const text = readFileSync(join(ROOT, "docker-compose.yml"), "utf8");
const compose = parse(text, { merge: true }) as { services: Record<string, Service>; volumes: Record<string, unknown> };
const services = Object.entries(compose.services);
const isOneShot = ({ restart }: Service): boolean => restart === "no";
const own = services.filter(([name, { build }]) => build !== undefined && name !== "gateway");
const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;
if (!hasRedis && process.env.CI) throw new Error("Redis is missing: apt-get install redis-server");
const longRunning = services.filter(([, service]) => !isOneShot(service));

describe.each(services)("service %s", (_name, service) => {
  it("has an image with a pinned version, or a Dockerfile that exists", () => {
    if (service.build) expect(existsSync(join(ROOT, service.build.context, service.build.dockerfile))).toBe(true);
    expect(service.image).toMatch(/^[\w./-]+:\d+\.\d+(\.\d+)*$/);
  });

  it("runs as an ordinary user, on a read-only file system, within limits", () => {
    expect(service.user).toMatch(/^(node|[1-9]\d*:\d+)$/);
    expect(service.read_only).toBe(true);
    expect(service.deploy?.resources?.limits).toEqual({
      cpus: expect.any(String),
      memory: expect.stringMatching(/^\d+[mg]$/),
    });
  });

  it("is published on the loopback interface only", () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it("mounts files that exist and volumes that are declared", () => {
    for (const mount of service.volumes ?? []) {
      const [source = ""] = mount.split(":");
      if (source.startsWith("./")) expect(existsSync(join(ROOT, source)), source).toBe(true);
      else expect(Object.keys(compose.volumes)).toContain(source);
    }
  });

  it("waits for services that can be waited for", () => {
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      const awaited = compose.services[name];
      expect(awaited, name).toBeDefined();
      if (condition === "service_healthy") expect(awaited?.healthcheck, name).toBeDefined();
      else expect([condition, awaited?.restart]).toEqual(["service_completed_successfully", "no"]);
    }
  });
});

it.each(longRunning)("%s has a health check", (_name, { healthcheck }) => {
  expect(healthcheck?.test[0]).toMatch(/^CMD(-SHELL)?$/);
  expect(healthcheck?.retries).toBeGreaterThan(1);
});

it("holds no secret: each comes from a variable that must be set, and that .env.example names", () => {
  const example = readFileSync(join(ROOT, ".env.example"), "utf8");
  for (const [name, { environment = {} }] of services) {
    for (const [key, value] of Object.entries(environment)) {
      const secret = /PASSWORD|TOKEN|AUTH$|SECRET/.test(key) || /:\/\/[^/@]*@/.test(String(value));
      if (secret) expect(`${name} ${key} ${value}`).toMatch(/\$\{[A-Z_]+:\?set [A-Z_]+\}/);
    }
  }
  for (const [, name] of text.matchAll(/\$\{([A-Z_]+):\?/g)) expect(example).toMatch(new RegExp(`^${name}=$`, "m"));
  for (const [, name] of text.matchAll(/\$\{([A-Z_]+):-/g)) expect(example).toMatch(new RegExp(`^#${name}=`, "m"));
  for (const [, secret] of text.matchAll(/:\/\/[^/:@\s]+:([^@\s]+)@/g)) expect(secret).toMatch(/^\$\{/);
});

it("makes an .env with a random secret for each variable, once", async () => {
  const directory = mkdtempSync(join(tmpdir(), "tidemark-compose-"));
  const run = async () =>
    (await once(spawn(process.execPath, [join(ROOT, "infra/secrets.mjs"), directory], { stdio: "ignore" }), "exit"))[0];
  try {
    expect(await run()).toBe(0);
    const written = readFileSync(join(directory, ".env"), "utf8");
    expect(written.match(/^[A-Z_]+=$/gm)).toBeNull();
    expect(new Set(written.match(/(?<==)[0-9a-f]{48}$/gm)).size).toBe(6);
    expect(statSync(join(directory, ".env")).mode & 0o077).toBe(0);
    expect(await run()).toBe(1);
    expect(readFileSync(join(directory, ".env"), "utf8")).toBe(written);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** Everything under a folder, as one text. */
function sources(...folders: string[]): string {
  return folders
    .map((folder) => join(ROOT, folder))
    .flatMap((path) =>
      statSync(path).isFile() ? [path] : readdirSync(path, { recursive: true }).map((name) => join(path, String(name))),
    )
    .filter((path) => /\.(ts|py|xml|ya?ml)$/.test(path) && !/node_modules|[\\/]dist[\\/]/.test(path))
    .map((path) => readFileSync(path, "utf8"))
    .join("\n");
}

describe("every variable is one that somebody reads", () => {
  const agents = ["collectors/node/src", "collectors/django/src", "services/lab/src", "services/lab/django"];
  /** Where a service's own variables are read; `known` are those of an image that is not ours. */
  const readers: Record<string, { folders: string[]; known?: RegExp }> = {
    clickhouse: { folders: ["infra/clickhouse"], known: /^CLICKHOUSE_SKIP_USER_SETUP$/ },
    migrate: { folders: ["services/tidemark/src"] },
    ingest: { folders: ["services/ingest/src"] },
    alerts: { folders: ["services/alerts/src"] },
    viewer: { folders: ["services/viewer/src"] },
    gateway: { folders: ["collectors/gateway"] },
    grafana: { folders: ["infra/grafana"], known: /^GF_(PLUGINS|SECURITY|USERS|ANALYTICS|LOG)_[A-Z_]+$/ },
    postgres: { folders: ["infra/postgres"], known: /^(POSTGRES_(USER|PASSWORD|DB)|PGDATA)$/ },
    redis: { folders: ["infra/postgres"], known: /^REDISCLI_AUTH$/ },
    "node-service": { folders: agents },
    django: { folders: agents },
    "django-asgi": { folders: agents },
    load: { folders: ["services/lab/src"] },
  };
  it.each(services)("%s", (name, { environment = {} }) => {
    const { folders, known } = readers[name]!;
    const read = sources(...folders);
    // The Django agent puts TIDEMARK_ before the names of its settings itself.
    const names = Object.keys(environment).filter((key) => !known?.test(key));
    expect(
      names.filter((key) => !read.includes(key) && !new RegExp(`\\b${key.replace("TIDEMARK_", "")}\\b`).test(read)),
    ).toEqual([]);
  });
});

describe("the gateway", () => {
  const config = parse(readFileSync(join(ROOT, "collectors/gateway/config.yaml"), "utf8"));
  const gateway = compose.services.gateway!;

  it("uses parts that are configured, and configures parts that are used", () => {
    const pipelines = Object.values(config.service.pipelines) as Record<string, string[]>[];
    for (const kind of ["receivers", "processors", "exporters"]) {
      expect(new Set(pipelines.flatMap((pipeline) => pipeline[kind]))).toEqual(new Set(Object.keys(config[kind])));
    }
    expect(new Set(config.service.extensions)).toEqual(new Set(Object.keys(config.extensions)));
    expect(Object.keys(config.service.pipelines).sort()).toEqual(["logs", "metrics", "traces"]);
    expect(pipelines.map(({ processors }) => processors?.[0])).toEqual([
      "memory_limiter",
      "memory_limiter",
      "memory_limiter",
    ]);
  });

  it("keeps what it took on disk, in a volume, and never gives up", () => {
    const { sending_queue, retry_on_failure } = config.exporters.otlphttp;
    expect([sending_queue.enabled, sending_queue.storage, retry_on_failure.max_elapsed_time]).toEqual([
      true,
      "file_storage",
      0,
    ]);
    expect(gateway.volumes).toEqual([`gateway:${config.extensions.file_storage.directory}`]);
  });

  it("listens and is asked for its health where compose says, and sends to the ingest's port", () => {
    const { http, grpc } = config.receivers.otlp.protocols;
    const published = (gateway.ports ?? []).map((port) => `0.0.0.0:${port.split(":").at(-1)}`);
    expect(published).toEqual([grpc.endpoint, http.endpoint]);
    expect(gateway.healthcheck?.test.at(-1)).toBe(
      `http://127.0.0.1:${config.extensions.health_check.endpoint.split(":")[1]}/`,
    );
    expect(gateway.environment?.TIDEMARK_ENDPOINT).toBe(
      `http://ingest:${compose.services.ingest?.environment?.TIDEMARK_OTLP_PORT}`,
    );
    expect(compose.services.django?.environment?.TIDEMARK_ENDPOINT).toBe(
      `http://gateway:${http.endpoint.split(":")[1]}`,
    );
  });
});

describe("each command of ours, as written there, runs and answers its health check", () => {
  const secret = (name: string): string => `secret-of-${name.toLowerCase().replaceAll("_", "-")}`;
  const children = new Map<string, ChildProcess>();
  const outputs = new Map<string, () => string>();
  const addresses = new Map<string, string>();
  let directory: string;
  let postgres: Postgres;

  /** What Docker would do: variables, names of services, published ports, directories. */
  function mapped(name: string, value: string): string {
    const port = portOf(name);
    return value
      .replace(/\$\{([A-Z_]+):\?[^}]*\}/g, (_, variable: string) => secret(variable))
      .replace(/\$\{([A-Z_]+):-([^}]*)\}/g, (_, _variable: string, fallback: string) => fallback)
      .replace(/\b([a-z-]+:\d+)\b/g, (address) => addresses.get(address) ?? address)
      .replace("/var/lib/tidemark", join(directory, name))
      .replace("0.0.0.0", "127.0.0.1")
      .replace(
        new RegExp(`(^|[:=])${port}(?=$|/)`),
        (_, before: string) => `${before}${addresses.get(`${name}:${port}`)?.split(":")[1]}`,
      );
  }

  /** The port a service listens on inside its container: its health check asks it. */
  const portOf = (name: string): string =>
    /127\.0\.0\.1:(\d+)/.exec(JSON.stringify(compose.services[name]?.healthcheck ?? ""))?.[1] ?? "none";

  function run(name: string, command: readonly string[]): ChildProcess {
    const { environment = {}, working_dir = "/app" } = compose.services[name]!;
    const [program = "", ...args] = command.map((part) => mapped(name, part));
    const env = Object.fromEntries(
      Object.entries(environment).map(([key, value]) => [key, mapped(name, String(value))]),
    );
    if (env.LAB_DATABASE_URL)
      Object.assign(env, {
        LAB_DATABASE_URL: postgres.databaseUrl,
        LAB_EVENTS_DATABASE_URL: postgres.eventsDatabaseUrl,
      });
    if (!hasRedis) delete env.LAB_REDIS_URL;
    const path = [dirname(process.execPath), dirname(PYTHON), process.env.PATH].join(delimiter);
    const cwd = working_dir.replace(/^\/app/, ROOT.replace(/\/$/, ""));
    return spawn(program, args, {
      cwd,
      env: { PATH: path, HOME: directory, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Debian's Redis, by the command and with the password of the file. */
  function startRedis(): void {
    const { command = [], environment = {} } = compose.services.redis!;
    const address = addresses.get("redis:6379")!;
    const line = command.at(-1)!.replaceAll("$$", "$");
    const [program = "", ...args] = [
      ...command.slice(0, -1),
      `${line} --bind 127.0.0.1 --port ${address.split(":")[1]}`,
    ];
    const env = { PATH: process.env.PATH, REDISCLI_AUTH: mapped("redis", String(environment.REDISCLI_AUTH)) };
    const child = spawn(program, args, { cwd: directory, env, stdio: ["ignore", "pipe", "pipe"] });
    children.set("redis", child);
    outputs.set("redis", collect(child));
  }

  function start(name: string): void {
    const child = run(name, compose.services[name]!.command!);
    children.set(name, child);
    outputs.set(name, collect(child));
  }

  async function healthy(name: string): Promise<void> {
    const output = outputs.get(name)!;
    await until(`${name} to be healthy`, async () => {
      if (children.get(name)?.exitCode !== null) throw new Error(`${name} ended:\n${output()}`);
      const check = run(name, compose.services[name]!.healthcheck!.test.slice(1));
      const said = collect(check);
      const [code] = await once(check, "exit");
      if (code !== 0) throw new Error(`${said()}\n${output()}`);
      return true;
    });
  }

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "tidemark-compose-"));
    const names = ["clickhouse", "redis", ...own.map(([name]) => name)];
    const ports = await freePorts(names.length);
    names.forEach((name, index) => {
      addresses.set(`${name}:${name === "redis" ? "6379" : portOf(name)}`, `127.0.0.1:${ports[index]}`);
    });
    // No Collector here: what the agents send to it goes to the ingest, which speaks the same.
    addresses.set("gateway:4318", addresses.get("ingest:4318")!);
    postgres = await startPostgres();
    if (hasRedis) startRedis();
    const engine = spawn(process.execPath, [entryOf("engine")], {
      env: {
        PATH: process.env.PATH,
        TIDEMARK_DATA_DIR: join(directory, "clickhouse"),
        TIDEMARK_CLICKHOUSE_PORT: addresses.get("clickhouse:8123")!.split(":")[1],
        TIDEMARK_ENGINE_WRITER_PASSWORD: secret("TIDEMARK_WRITER_PASSWORD"),
        TIDEMARK_ENGINE_READER_PASSWORD: secret("TIDEMARK_READER_PASSWORD"),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.set("clickhouse", engine);
    outputs.set("clickhouse", collect(engine));
    await until(
      "ClickHouse's stand-in",
      async () => (await fetch(`http://${addresses.get("clickhouse:8123")}/ping`)).ok,
    );
  });

  afterAll(async () => {
    await Promise.all([...children].filter(([name]) => name !== "clickhouse").map(([, child]) => stop(child)));
    const engine = children.get("clickhouse");
    if (engine) await stop(engine);
    await postgres?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it("migrate makes the tables and ends with 0", async () => {
    const child = run("migrate", compose.services.migrate!.command!);
    const output = collect(child);
    expect((await once(child, "exit"))[0], output()).toBe(0);
  });

  it.each(["ingest", "alerts", "viewer", "node-service", "django", "django-asgi"])("%s", async (name) => {
    start(name);
    await healthy(name);
  });

  it("django keeps the page's fragment in Redis", async (context) => {
    if (!hasRedis) return context.skip("Redis is missing: apt-get install redis-server");
    expect((await fetch(`http://${addresses.get("django:8000")}/page/cached`)).status).toBe(200);
    const auth = mapped("redis", String(compose.services.redis!.environment!.REDISCLI_AUTH));
    const port = addresses.get("redis:6379")!.split(":")[1]!;
    const { stdout } = spawnSync("redis-cli", ["-p", port, "dbsize"], {
      env: { ...process.env, REDISCLI_AUTH: auth },
      encoding: "utf8",
    });
    expect(Number(stdout)).toBeGreaterThan(0);
  });

  it("load plays its story, and both services' telemetry arrives", async () => {
    start("load");
    const url = `http://tidemark:${secret("TIDEMARK_WRITER_PASSWORD")}@${addresses.get("clickhouse:8123")}/tidemark`;
    const client = createStoreClient(url);
    try {
      await until(
        "rows of every service",
        async () => {
          const load = children.get("load");
          if (load?.exitCode !== null) throw new Error(`load ended:\n${outputs.get("load")?.()}`);
          const result = await client.query({
            query: "SELECT DISTINCT toString(service) AS service FROM resource_samples",
            format: "JSONEachRow",
          });
          const seen = (await result.json<{ service: string }>()).map(({ service }) => service);
          return ["lab-node", "lab-django", "lab-django-asgi"].every((name) => seen.includes(name));
        },
        60_000,
      );
    } finally {
      await client.close();
    }
  });
});

it("has a command above for every service of ours", () => {
  expect(own.map(([name]) => name).sort()).toEqual([
    "alerts",
    "django",
    "django-asgi",
    "ingest",
    "load",
    "migrate",
    "node-service",
    "viewer",
  ]);
});
