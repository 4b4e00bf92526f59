import { migrate as migrateStore } from "@tidemark/store";
import { prepareDataDir, readSettings, type SettingsFlags, writerPassword } from "../settings.ts";
import { urls, withoutPassword } from "../stack.ts";
import { say } from "../terminal.ts";

/** `tidemark migrate`: brings the tables of a ClickHouse up to date; safe to repeat. */
export async function migrate(flags: SettingsFlags): Promise<void> {
  const settings = readSettings(flags, process.env);
  if (!settings.clickhouseUrl) prepareDataDir(settings.dataDir);
  const { clickhouseWriter } = urls(settings, settings.clickhouseUrl ? "" : writerPassword(settings.dataDir));
  say(`Bringing the tables at ${withoutPassword(clickhouseWriter)} up to date ...`);
  await migrateStore(clickhouseWriter, {
    cluster: process.env.TIDEMARK_CLICKHOUSE_CLUSTER || undefined,
    onProgress: ({ number, name, total }) => say(`  ${number} of ${total}: ${name}`),
  });
  say("The tables are up to date.");
}
