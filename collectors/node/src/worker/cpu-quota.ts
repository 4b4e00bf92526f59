import { readFileSync } from "node:fs";
import type { Batch, Differences } from "./batch.ts";

const US_PER_S = 1e6;
const NS_PER_S = 1e9;
const ROOT = "/sys/fs/cgroup";

/** A control group's quota of processor time, and how often it was used up. */
export interface CpuQuota {
  /** Cores. */
  readonly limit: number;
  /** Since the group was made; seconds and numbers. */
  readonly throttledSeconds: number;
  readonly throttledPeriods: number;
  readonly periods: number;
}

/**
 * The quota of this process's control group, which stops a container's threads as if there were no core; undefined
 * without one. In a container its own group is the root of what it sees; elsewhere the process's path leads to it.
 * Source: Linux, Documentation/admin-guide/cgroup-v2 and scheduler/sched-bwc.
 */
export function cpuQuota(root = ROOT, groups = "/proc/self/cgroup"): CpuQuota | undefined {
  const paths = groupPaths(read(groups) ?? "");
  for (const path of new Set([paths.unified, ""])) {
    const quota = path === undefined ? undefined : versionTwo(`${root}${path}`);
    if (quota !== undefined) return quota;
  }
  for (const path of new Set([paths.cpu, ""])) {
    for (const controller of ["cpu", "cpu,cpuacct"]) {
      const quota = path === undefined ? undefined : versionOne(`${root}/${controller}${path}`);
      if (quota !== undefined) return quota;
    }
  }
  return undefined;
}

/** Adds what the quota stopped since the last call; nothing without a quota. */
export function addQuota(batch: Batch, differences: Differences): void {
  const quota = cpuQuota();
  batch.add("tidemark.cgroup.cpu.limit", {}, quota?.limit);
  const added = (name: string, value: number | undefined) => batch.add(name, {}, differences.of(name, value));
  added("tidemark.cgroup.cpu.throttled_time", quota?.throttledSeconds);
  added("tidemark.cgroup.cpu.throttled_periods", quota?.throttledPeriods);
  added("tidemark.cgroup.cpu.periods", quota?.periods);
}

/** Lines of /proc/self/cgroup: `0::/path` for version 2, `4:cpu,cpuacct:/path` for version 1. */
function groupPaths(text: string): { unified: string | undefined; cpu: string | undefined } {
  const lines = text.split("\n").map((line) => line.split(":"));
  const path = (found: string[] | undefined) => found?.slice(2).join(":").replace(/\/$/, "");
  return {
    unified: path(lines.find(([id]) => id === "0")),
    cpu: path(lines.find(([, controllers]) => controllers?.split(",").includes("cpu"))),
  };
}

function versionTwo(directory: string): CpuQuota | undefined {
  const [quota, period] = read(`${directory}/cpu.max`)?.trim().split(" ") ?? [];
  return quota === undefined || quota === "max"
    ? undefined
    : withStatistics(directory, Number(quota) / Number(period), "throttled_usec", US_PER_S);
}

function versionOne(directory: string): CpuQuota | undefined {
  const quota = Number(read(`${directory}/cpu.cfs_quota_us`) ?? -1);
  if (!(quota > 0)) return undefined;
  return withStatistics(directory, quota / Number(read(`${directory}/cpu.cfs_period_us`)), "throttled_time", NS_PER_S);
}

function withStatistics(directory: string, limit: number, timeField: string, perSecond: number): CpuQuota | undefined {
  const text = read(`${directory}/cpu.stat`);
  if (text === undefined || !(limit > 0)) return undefined;
  const fields = new Map(text.split("\n").map((line) => line.split(" ") as [string, string]));
  const field = (name: string) => Number(fields.get(name) ?? 0);
  return {
    limit,
    throttledSeconds: field(timeField) / perSecond,
    throttledPeriods: field("nr_throttled"),
    periods: field("nr_periods"),
  };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
