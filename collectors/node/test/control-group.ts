import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "./agent-process.ts";

const ROOT = "/sys/fs/cgroup";
const VERSION_ONE = join(ROOT, "cpu");
const PERIOD_US = 100_000;
const NS_PER_S = 1e9;
const US_PER_S = 1e6;

/** A control group of this machine with a quota of processor time. */
export interface ControlGroup {
  /** File that takes the process that is to be in it. */
  readonly processes: string;
  /** What the kernel has counted. */
  counted(): { readonly periods: number; readonly throttledPeriods: number; readonly throttledSeconds: number };
  /** Ends it, once it is empty. */
  remove(): Promise<void>;
}

/** @throws where this machine's control groups cannot be written. */
export function makeControlGroup(cores: number): ControlGroup {
  const isOne = existsSync(VERSION_ONE);
  const folder = join(isOne ? VERSION_ONE : ROOT, `tidemark-node-test-${process.pid}`);
  const file = (name: string) => join(folder, name);
  mkdirSync(folder);
  try {
    if (isOne) writeFileSync(file("cpu.cfs_quota_us"), String(cores * PERIOD_US));
    else writeFileSync(file("cpu.max"), `${cores * PERIOD_US} ${PERIOD_US}`);
  } catch (error) {
    rmdirSync(folder);
    throw error;
  }
  return {
    processes: file("cgroup.procs"),
    counted() {
      const lines = readFileSync(file("cpu.stat"), "utf8").trim().split("\n");
      const stat = Object.fromEntries(lines.map((line) => line.split(" ")));
      return {
        periods: Number(stat.nr_periods),
        throttledPeriods: Number(stat.nr_throttled),
        throttledSeconds: isOne ? Number(stat.throttled_time) / NS_PER_S : Number(stat.throttled_usec) / US_PER_S,
      };
    },
    async remove() {
      await until("the control group is empty", () => readFileSync(file("cgroup.procs"), "utf8") === "");
      rmdirSync(folder);
    },
  };
}
