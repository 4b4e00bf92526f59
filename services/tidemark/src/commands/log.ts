import { inspectLog, type LogReport, logDirectory, ReplayRefused, replayFiles } from "@tidemark/ingest";
import { readSettings, type SettingsFlags, UsageError, writerPassword } from "../settings.ts";
import { urls, withoutPassword } from "../stack.ts";
import { abortOnSignal, say, table } from "../terminal.ts";

const BYTES_PER_KIB = 1024;
const SECONDS_PER_MINUTE = 60;
const MINUTES_PER_HOUR = 60;

export interface ReplayFlags extends SettingsFlags {
  dryRun?: boolean;
  force?: boolean;
  json?: boolean;
}

/** `tidemark log show`: what is in the ingest's log, without changing it; works while the ingest runs. */
export async function showLog(flags: SettingsFlags & { json?: boolean }): Promise<void> {
  const directory = logDirectory(readSettings(flags, process.env).dataDir);
  let report: LogReport;
  try {
    report = await inspectLog(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new UsageError(`There is no log in ${directory}. Name the ingest's data directory with --data-dir.`);
  }
  if (flags.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else process.stdout.write(`${text(report)}\n`);
}

/** `tidemark log replay FILE...`: inserts set-aside segments into ClickHouse, each row once however often it is run. */
export async function replayLog(files: readonly string[], flags: ReplayFlags): Promise<void> {
  const settings = readSettings(flags, process.env);
  const { clickhouseWriter } = urls(settings, settings.clickhouseUrl ? "" : writerPassword(settings.dataDir));
  say(`${flags.dryRun ? "Would insert" : "Inserting"} into ${withoutPassword(clickhouseWriter)}:`);
  try {
    const replayed = await replayFiles(files, {
      clickhouseUrl: clickhouseWriter,
      dryRun: flags.dryRun === true,
      force: flags.force === true,
      signal: abortOnSignal(),
      onInsert: (file, { table: into, rows, points }) => say(`  ${file}: ${rows} rows (${points} points) into ${into}`),
    });
    for (const { file, damagedBytes } of replayed) {
      if (damagedBytes > 0) say(`  ${file}: ${damagedBytes} bytes of it cannot be read`);
    }
    const points = replayed.reduce((sum, { points }) => sum + points, 0);
    say(flags.dryRun ? "Nothing was inserted." : `${points} points of ${replayed.length} files are in.`);
    if (flags.json) process.stdout.write(`${JSON.stringify({ dryRun: flags.dryRun === true, files: replayed })}\n`);
  } catch (error) {
    if (error instanceof ReplayRefused) throw new UsageError(error.message);
    throw error;
  }
}

function text({ directory, owner, state, files, waiting, damaged, bad, corrupt }: LogReport): string {
  const lines = [
    table([
      ["log", directory],
      ["in use by", owner === null ? "nobody" : `process ${owner}`],
      [
        "waiting",
        `${waiting.segments} segments, ${bytes(waiting.bytes)}, ${waiting.points} points, oldest ${age(waiting.ageSeconds)}`,
      ],
      [
        "so far",
        state === null
          ? "unknown: state.json is missing or torn"
          : `${state.acknowledgedPoints} points acknowledged and ${state.insertedPoints} inserted in segments that are gone (to ${state.retiredThrough})`,
      ],
      ["set aside", `${bad} refused by ClickHouse (.bad), ${corrupt} damaged (.corrupt)`],
      ...(damaged > 0 ? [["damaged", `${damaged} of the files below`]] : []),
    ]),
  ];
  if (files.length > 0) {
    const rows = files.map((file) => [
      file.file,
      file.kind,
      bytes(file.bytes),
      `${file.frames}`,
      `${file.points}`,
      age(file.ageSeconds),
      file.error ?? (file.damagedBytes > 0 ? `${file.damagedBytes} bytes` : "-"),
      Object.entries(file.tables)
        .map(([name, count]) => `${name} ${count}`)
        .join(", "),
    ]);
    lines.push("", table([["file", "kind", "size", "requests", "points", "age", "damage", "rows"], ...rows]));
  }
  if (bad + corrupt > 0) lines.push("", "`tidemark log replay FILE...` inserts the rows of set-aside files.");
  return lines.join("\n");
}

function bytes(count: number): string {
  const kib = count / BYTES_PER_KIB;
  if (kib < 1) return `${count} B`;
  return kib < BYTES_PER_KIB ? `${kib.toFixed(1)} KiB` : `${(kib / BYTES_PER_KIB).toFixed(1)} MiB`;
}

function age(seconds: number): string {
  const minutes = seconds / SECONDS_PER_MINUTE;
  if (minutes < 1) return `${seconds} s`;
  return minutes < MINUTES_PER_HOUR ? `${Math.round(minutes)} min` : `${(minutes / MINUTES_PER_HOUR).toFixed(1)} h`;
}
