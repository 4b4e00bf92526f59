import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { REGISTER_URL, until } from "../agent-process.ts";
import { type Sink, startSink } from "../otlp-sink.ts";

const PM2 = createRequire(import.meta.url).resolve("pm2/bin/pm2");
const APP = fileURLToPath(new URL("../apps/shop.mjs", import.meta.url));
const INSTANCES = 2;

/** In a home of its own, with its daemon. */
describe("instances under the real pm2", () => {
  let home: string;
  let sink: Sink;
  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), "tidemark-pm2-"));
    sink = await startSink();
  });
  afterEach(async () => {
    const daemon = daemonPid();
    pm2("kill");
    await until("pm2's daemon has ended", () => !isAlive(daemon));
    await sink.close();
    rmSync(home, { recursive: true });
  });

  const pm2 = (...parameters: string[]) => {
    const kept = Object.entries(process.env).filter(
      ([name]) => !/^(NODE_OPTIONS|VITEST|OTEL_|TIDEMARK_|PM2_)/.test(name),
    );
    const env = { ...Object.fromEntries(kept), PM2_HOME: home };
    const { status, stdout, stderr } = spawnSync(process.execPath, [PM2, ...parameters], { env, encoding: "utf8" });
    if (status !== 0) throw new Error(`pm2 ${parameters.join(" ")} ended with ${status}: ${stdout}${stderr}`);
  };
  const daemonPid = () => Number(readFileSync(join(home, "pm2.pid"), "utf8"));
  const start = (mode: "cluster" | "fork") => {
    const file = join(home, "shop.config.json");
    const env = { TIDEMARK_ENDPOINT: sink.url, TIDEMARK_EXPORT_INTERVAL: "0.5" };
    const shop = { name: "shop", script: APP, exec_mode: mode, instances: INSTANCES, env };
    writeFileSync(file, JSON.stringify({ apps: [{ ...shop, node_args: `--import ${REGISTER_URL}` }] }));
    pm2("start", file);
  };
  /** The latest resource of each instance that has spoken since. */
  const instances = (sinceMs: number) => {
    const told = sink.points.filter(({ receivedMs }) => receivedMs > sinceMs).map(({ resource }) => resource);
    return new Map(told.map((resource) => [resource["tidemark.worker.index"], resource]));
  };

  it.each(["cluster", "fork"] as const)(
    "have a number, one group, and the number again once replaced, in %s mode",
    async (mode) => {
      start(mode);
      const all = await until("all instances speak", () => {
        const found = instances(0);
        return found.size === INSTANCES && found;
      });
      expect([...all.keys()].sort()).toEqual([0, 1]);
      for (const resource of all.values()) {
        expect(resource["tidemark.group.id"]).toBe(`${hostname()}:${daemonPid()}:shop`);
        expect(resource["tidemark.workers.configured"]).toBe(INSTANCES);
      }
      const identities = new Set([...all.values()].map((resource) => resource["service.instance.id"]));
      expect(identities.size).toBe(INSTANCES);

      const first = all.get(0)!;
      const endedAt = Date.now();
      process.kill(Number(first["process.pid"]), "SIGKILL");
      const next = await until("it is replaced", () => {
        const found = instances(endedAt).get(0);
        return found !== undefined && found["process.pid"] !== first["process.pid"] && found;
      });
      expect(next["tidemark.group.id"]).toBe(first["tidemark.group.id"]);
      expect(identities).not.toContain(next["service.instance.id"]);
      expect(sink.select("tidemark.agent.errors").filter(({ value }) => value !== 0)).toEqual([]);
    },
  );
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
