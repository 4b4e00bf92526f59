import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "@tidemark/store";
import { expect, it } from "vitest";
import { drained, remove } from "./support/chaos/campaign.ts";
import { compareRows } from "./support/chaos/compare.ts";
import { Load } from "./support/chaos/load.ts";
import { pairIn } from "./support/services.ts";
import { collect, ROOT, stop, until } from "./support/tidemark.ts";

const DISK_MIB = 3;
/** What may mount a small file system of its own: root, or a user in a namespace of its own. */
const NAMESPACES: readonly (readonly string[])[] = [
  ["unshare", "--mount"],
  ["unshare", "--map-root-user", "--mount"],
  ["sudo", "-n", "-E", "unshare", "--mount"],
];
const namespace = NAMESPACES.find(([command, ...args]) => {
  const probe = ["sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"];
  return spawnSync(command!, [...args, ...probe]).status === 0;
});

const MISSING =
  "A small file system of the test's own is missing: unshare (Debian package util-linux) may not mount a tmpfs here, neither as this user nor by sudo";

it("on a full disk the ingest refuses with 503, starts again after kill -9, drains, and loses nothing it acknowledged", async (context) => {
  if (namespace === undefined) {
    if (process.env.CI) throw new Error(MISSING);
    return context.skip(MISSING);
  }
  const directory = mkdtempSync(join(tmpdir(), "tidemark-full-"));
  const dataDir = join(directory, "small");
  mkdirSync(dataDir);
  const pair = await pairIn(directory, { TIDEMARK_DATA_DIR: dataDir, TIDEMARK_FLUSH_INTERVAL: "0.2" });
  // The engine is elsewhere, and makes its tables; then it goes away, so that the log has to hold everything.
  await pair.engine.start();
  await migrate(pair.clickhouseUrl);
  await pair.engine.end("SIGTERM");

  // The disk is a mount that only this shell and what it starts can see; it starts the ingest again when that ends.
  const main = join(ROOT, "services", "ingest", "dist", "main.js");
  const script = `mount -t tmpfs -o size=${DISK_MIB}m tmpfs "$DIR" && while true; do "$NODE" "$MAIN"; done`;
  const [command, ...args] = namespace;
  const shell = spawn(command!, [...args, "sh", "-c", script], {
    env: { ...process.env, ...pair.ingest.environment, DIR: dataDir, NODE: process.execPath, MAIN: main },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const output = collect(shell);
  const starts = () => output().split('"msg":"ready"').length - 1;
  let load: Load | undefined;
  try {
    await until("the ingest to be ready", () => starts() === 1, 60_000);
    load = new Load({ otlp: pair.otlp, senders: 4, pauseMs: 5 });
    const sending = load;
    await until("the disk to be full", () => (sending.statuses.get(503) ?? 0) > 20, 120_000, 50);
    expect(sending.withoutRetryAfter).toBe(0);
    const body = JSON.stringify({
      resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: "x".repeat(2 ** 20) } }] }] }],
    });
    const refused = await fetch(`${pair.otlp}/v1/logs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({
      details: expect.arrayContaining([expect.objectContaining({ reason: "TDM_INGEST_LOG_UNWRITABLE" })]),
    });

    process.kill(ingestOf(shell, main), "SIGKILL");
    await until("the ingest to start on the full disk", () => starts() === 2, 60_000);
    await pair.engine.start();
    const before = sending.statuses.get(200) ?? 0;
    await until("requests to be acknowledged again", () => (sending.statuses.get(200) ?? 0) > before + 10, 120_000, 50);
    await sending.stop();
    await drained(pair);
    const { findings, ...rows } = await compareRows(pair.clickhouseUrl, sending.ledgers);
    console.log(JSON.stringify({ ...rows, statuses: Object.fromEntries(sending.statuses) }));
    expect(findings).toEqual([]);
    expect(rows).toMatchObject({ lost: 0, duplicated: 0, refused_stored: 0 });
  } finally {
    await load?.stop();
    if (shell.pid !== undefined) process.kill(-shell.pid, "SIGKILL");
    await stop(shell);
    await pair.engine.end("SIGTERM");
    await remove(directory);
  }
});

/** Pid of the ingest that the shell, or what stands between, has started. */
function ingestOf(shell: ChildProcess, main: string): number {
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const group = Number(readFileSync(`/proc/${entry}/stat`, "utf8").split(") ")[1]?.split(" ")[2]);
      const [executable, argument] = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      if (group === shell.pid && executable === process.execPath && argument === main) return Number(entry);
    } catch {
      // It ended while we looked.
    }
  }
  throw new Error("the ingest does not run");
}
