import { readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { migrate } from "@tidemark/store";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { buildApp, inspectLog, replayFiles } from "../../src/index.ts";
import { SUFFIX_WAITING, segmentName } from "../../src/log/files.ts";
import { gauge, metricsRequest, nanos } from "../otlp-messages.ts";
import { Engine, type RefusingClickHouse, refusingClickHouse, temporaryDirectory, until } from "../processes.ts";

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let engine: Engine;
let refusing: RefusingClickHouse;
let refusals: string[];
let runs = 0;

beforeAll(async () => {
  directory = await temporaryDirectory();
  engine = new Engine(join(directory.path, "engine"));
  await engine.start();
  await migrate(engine.url);
  // A ClickHouse whose table of logs does not fit, in front of the real one.
  refusing = await refusingClickHouse(engine.url, () => refusals, { code: 53, name: "TYPE_MISMATCH" });
});
afterAll(async () => {
  await refusing.close();
  await engine.stop();
  await directory.remove();
});
beforeEach(() => {
  refusals = ["otel_logs"];
});

/** One request, so that its records are in one segment whenever the log closes it. */
const logs = (...texts: readonly string[]) => ({
  url: "/v1/logs" as const,
  body: {
    resourceLogs: [
      {
        scopeLogs: [
          { logRecords: texts.map((text) => ({ timeUnixNano: nanos(Date.now()), body: { stringValue: text } })) },
        ],
      },
    ],
  },
});
const point = (name: string) => ({ url: "/v1/metrics" as const, body: metricsRequest([gauge(name, 1, Date.now())]) });

/** Sends requests to an ingest in a data directory of its own, and stops it when `ready`; returns the log's directory. */
async function ingest(
  requests: readonly { url: string; body: object }[],
  ready: (logDirectory: string) => Promise<boolean>,
  clickhouseUrl?: string,
): Promise<string> {
  const dataDirectory = join(directory.path, `ingest-${runs++}`);
  const app = await buildApp({
    clickhouseUrl: clickhouseUrl ?? refusing.url,
    flushIntervalSeconds: 0.05,
    logLevel: "silent",
    dataDirectory,
  });
  const logDirectory = join(dataDirectory, "log");
  try {
    for (const { url, body } of requests) {
      const reply = await app.inject({
        method: "POST",
        url,
        headers: { "content-type": "application/json" },
        payload: JSON.stringify(body),
      });
      expect(reply.statusCode).toBe(200);
    }
    await until("the log to be as the test needs it", () => ready(logDirectory), 60_000);
    // Refused while it runs: the ingest inserts its own segments.
    const waiting = (await readdir(logDirectory)).find((name) => name.endsWith(".log"));
    if (waiting !== undefined) {
      await expect(replayFiles([join(logDirectory, waiting)], { clickhouseUrl: engine.url })).rejects.toThrow(
        `process id ${process.pid} works on it`,
      );
    }
    expect((await inspectLog(logDirectory)).owner).toBe(String(process.pid));
  } finally {
    await app.close();
  }
  return logDirectory;
}

const has = (suffix: string) => async (logDirectory: string) =>
  (await readdir(logDirectory)).some((name) => name.endsWith(suffix));
const NO_CLICKHOUSE = "http://tidemark:x@127.0.0.1:9/tidemark";

test("refused rows are shown, replayed when the cause is gone, and are there once however often that is done", async () => {
  const logDirectory = await ingest([logs("refused 1", "refused 2"), point("kept")], has(".otel_logs.bad"));
  const report = await inspectLog(logDirectory);
  expect(report).toMatchObject({ owner: null, bad: 1, corrupt: 0, damaged: 0 });
  const bad = report.files.find(({ kind }) => kind === "bad")!;
  expect(bad).toMatchObject({ frames: 1, points: 2, damagedBytes: 0, tables: { otel_logs: 2 } });
  const stored = async () =>
    Number((await engine.query("SELECT count() AS n FROM otel_logs WHERE Body LIKE 'refused%'"))[0]!.n);

  const path = join(logDirectory, bad.file);
  const planned: unknown[] = [];
  const onInsert = (file: string, batch: object) => planned.push({ file, ...batch });
  await replayFiles([path], { clickhouseUrl: engine.url, dryRun: true, onInsert });
  expect(planned).toEqual([{ file: bad.file, table: "otel_logs", rows: bad.points, points: bad.points }]);
  expect(await stored()).toBe(0);
  await expect(replayFiles([path], { clickhouseUrl: NO_CLICKHOUSE })).rejects.toThrow(/ECONNREFUSED/);
  expect(await has(".bad")(logDirectory)).toBe(true);

  const [first] = await replayFiles([path], { clickhouseUrl: engine.url });
  expect(first!.path).toMatch(/\.otel_logs\.replayed$/);
  expect(await stored()).toBe(bad.points);
  await replayFiles([first!.path], { clickhouseUrl: engine.url });
  expect(await stored()).toBe(bad.points);
  expect((await inspectLog(logDirectory)).bad).toBe(0);
});

test("the log of an ingest that is gone is replayed once, also with what is done and damaged in it", async () => {
  const requests = Array.from({ length: 3 }, (_, i) => point(`gone.${i}`));
  const logDirectory = await ingest(requests, has(".log"), NO_CLICKHOUSE);
  const report = await inspectLog(logDirectory);
  expect(report.waiting).toMatchObject({ points: 3 });
  const waiting = report.files.filter(({ kind }) => kind === "waiting").map(({ file }) => join(logDirectory, file));
  const count = async () => {
    const [row] = await engine.query("SELECT count() AS n FROM samples WHERE metric LIKE 'gone.%'");
    const [rollup] = await engine.query("SELECT sum(n) AS n FROM samples_1m WHERE metric LIKE 'gone.%'");
    return [Number(row!.n), Number(rollup!.n)];
  };
  for (let time = 0; time < 2; time++) {
    await replayFiles(waiting, { clickhouseUrl: engine.url });
    expect(await count()).toEqual([3, 3]);
  }
  // The ingest comes back after all: it inserts the same segments under the same tokens.
  const app = await buildApp({
    clickhouseUrl: engine.url,
    flushIntervalSeconds: 0.05,
    logLevel: "silent",
    dataDirectory: join(logDirectory, ".."),
  });
  await until("the segments to be done", () => has(".done")(logDirectory));
  await app.close();
  const done = (await inspectLog(logDirectory)).files.filter(({ kind }) => kind === "done");
  await replayFiles(
    done.map(({ file }) => join(logDirectory, file)),
    { clickhouseUrl: engine.url },
  );
  expect(await count()).toEqual([3, 3]);
});

test("a file is refused with a sentence when it cannot be replayed safely", async () => {
  const logDirectory = await ingest([point("old")], has(".log"), NO_CLICKHOUSE);
  const [waiting] = (await inspectLog(logDirectory)).files;
  const replay = (name: string, force = false) =>
    replayFiles([join(logDirectory, name)], { clickhouseUrl: engine.url, force });
  await expect(replay("state.json")).rejects.toThrow("not the name of a segment");
  await expect(replay("000000009999.log")).rejects.toThrow("no such file");
  await writeFile(join(logDirectory, "000000005000.corrupt"), Buffer.alloc(500));
  await expect(replay("000000005000.corrupt")).rejects.toThrow("nothing in it can be read");
  // Five thousand segments later ClickHouse may not know the tokens of the first any more.
  const done = `${segmentName(waiting!.segment)}.done`;
  await rename(join(logDirectory, waiting!.file), join(logDirectory, done));
  await expect(replay(done)).rejects.toThrow("--force inserts it");
  const [forced] = await replay(done, true);
  expect(forced).toMatchObject({ points: 1, inserted: { samples: 1, series: 1 } });
  expect(waiting!.file.endsWith(SUFFIX_WAITING)).toBe(true);
});
