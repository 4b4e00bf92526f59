import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../random.ts";
import type { Pair, Service } from "../services.ts";

/** When to kill: at any time, while a start is still recovering, with rows on their way in, or at a rename of the log. */
export type Moment = "random" | "recovery" | "insert" | "rename";
export type Victim = "ingest" | "engine" | "both";

export interface Kill {
  readonly victim: Victim;
  readonly moment: Moment;
}

const EVENT_WITHIN_MS = 5_000;
const LONGEST_RECOVERY_MS = 600;
const LONGEST_INSERT_MS = 40;

/** A kill that hits a recovery hits what `last` killed. */
export function nextKill(random: Random, last: Victim): Kill {
  const dice = random.next();
  const moment: Moment = dice < 0.45 ? "random" : dice < 0.65 ? "recovery" : dice < 0.85 ? "insert" : "rename";
  if (moment === "recovery") return { victim: last, moment };
  const who = random.next();
  const victim: Victim = moment === "rename" ? "ingest" : who < 0.45 ? "ingest" : who < 0.8 ? "engine" : "both";
  return { victim, moment };
}

export function victims({ engine, ingest }: Pair, victim: Victim): Service[] {
  return victim === "both" ? [ingest, engine] : [victim === "engine" ? engine : ingest];
}

/** Resolves when it is time; what it waits for is an event of the files, so that the kill hits the middle of it. */
export async function untilMoment({ moment }: Kill, pair: Pair, random: Random): Promise<void> {
  if (moment === "random") return delay(random.between(100, 1_500));
  if (moment === "recovery") return delay(random.between(0, LONGEST_RECOVERY_MS));
  if (moment === "insert") {
    // The engine writes the rows it receives to a file of its own before it inserts them.
    await fileEvent(join(pair.engineDirectory, "tmp"), (name) => name.endsWith(".rows"));
    return delay(random.between(0, LONGEST_INSERT_MS));
  }
  const wanted = random.pick([/\.done$/, /\.log$/, /^state\.json/]);
  await fileEvent(pair.logDirectory, (name) => wanted.test(name));
}

/** Resolves at the first event of such a file, or after a while without one: then it is an ordinary kill. */
async function fileEvent(directory: string, wanted: (name: string) => boolean): Promise<void> {
  let watcher: FSWatcher | undefined;
  const late = new AbortController();
  try {
    await Promise.race([
      new Promise<void>((resolve) => {
        watcher = watch(directory, (_event, name) => {
          if (name !== null && wanted(name)) resolve();
        });
        watcher.on("error", () => resolve());
      }),
      delay(EVENT_WITHIN_MS, undefined, { signal: late.signal }).catch(() => {}),
    ]);
  } finally {
    late.abort();
    watcher?.close();
  }
}
