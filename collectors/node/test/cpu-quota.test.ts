import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cpuQuota } from "../src/worker/cpu-quota.ts";
import { runWithAgent, until } from "./agent-process.ts";
import { type ControlGroup, makeControlGroup } from "./control-group.ts";
import { startSink } from "./otlp-sink.ts";

const CORES = 0.5;
/** Periods that a program in a group has used up before it rests. */
const THROTTLED_PERIODS = 5;
/** By SIGUSR2 enters the control group and computes, by another one it rests. */
const COMPUTING = `
  import { writeFileSync } from "node:fs";
  const compute = () => { const end = performance.now() + 50; while (performance.now() < end); };
  process.once("SIGUSR2", () => {
    writeFileSync(process.env.GROUP, String(process.pid));
    const computing = setInterval(compute, 0);
    process.once("SIGUSR2", () => clearInterval(computing));
  });
  setInterval(() => {}, 1000);`;
const STATISTICS = { two: "usage_usec 9\nnr_periods 50\nnr_throttled 7\nthrottled_usec 1250000\n" };

describe("the quota of the process's control group", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "cgroup-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));
  const write = (files: Readonly<Record<string, string>>) => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
    }
  };
  const quota = () => cpuQuota(root, join(root, "self"));

  it("is read from version 2, where the process's path leads or at a container's root", () => {
    write({ self: "0::/pod/app\n", "pod/app/cpu.max": "150000 100000\n", "pod/app/cpu.stat": STATISTICS.two });
    const expected = { limit: 1.5, throttledSeconds: 1.25, throttledPeriods: 7, periods: 50 };
    expect(quota()).toEqual(expected);
    rmSync(join(root, "pod"), { recursive: true });
    write({ "cpu.max": "150000 100000\n", "cpu.stat": STATISTICS.two });
    expect(quota()).toEqual(expected);
  });

  it("is read from version 1, whose time is in nanoseconds", () => {
    write({
      self: "4:cpu,cpuacct:/app\n0::/\n",
      "cpu,cpuacct/app/cpu.cfs_quota_us": "50000\n",
      "cpu,cpuacct/app/cpu.cfs_period_us": "100000\n",
      "cpu,cpuacct/app/cpu.stat": "nr_periods 12\nnr_throttled 3\nthrottled_time 400000000\n",
    });
    expect(quota()).toEqual({ limit: 0.5, throttledSeconds: 0.4, throttledPeriods: 3, periods: 12 });
  });

  it("is absent where there is none: not zero", () => {
    write({ self: "4:cpu:/\n0::/\n", "cpu.max": "max 100000\n", "cpu.stat": STATISTICS.two });
    write({ "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n", "cpu/cpu.stat": "nr_periods 0\n" });
    expect(quota()).toBeUndefined();
    rmSync(root, { recursive: true });
    expect(quota()).toBeUndefined();
    mkdirSync(root);
  });
});

it("what a real quota has stopped is told as the kernel has counted it", async (context) => {
  let group: ControlGroup;
  try {
    group = makeControlGroup(CORES);
  } catch (error) {
    return context.skip(`this machine's control groups cannot be written: ${error}`);
  }
  const sink = await startSink();
  const app = runWithAgent({ code: COMPUTING }, sink.url, { TIDEMARK_TRACES: "0", GROUP: group.processes });
  const sum = (name: string) =>
    sink.select(`tidemark.cgroup.cpu.${name}`).reduce((total, { value }) => total + value, 0);
  try {
    await until("the agent is up", () => sink.points.length > 0);
    app.child.kill("SIGUSR2");
    await until("the quota is used up", () => sum("throttled_periods") >= THROTTLED_PERIODS);
    app.child.kill("SIGUSR2");
    // What rests is not stopped any more: all that was counted arrives.
    const counted = await until("everything is told", () => {
      const { periods, throttledPeriods, throttledSeconds } = group.counted();
      const told = [sum("throttled_periods"), Math.round(1000 * sum("throttled_time"))];
      const kernel = [throttledPeriods, Math.round(1000 * throttledSeconds)];
      return told.every((value, index) => value === kernel[index]) && { periods, throttledPeriods };
    });
    expect(sum("throttled_periods")).toBeLessThanOrEqual(counted.periods);
    expect(sink.select("tidemark.cgroup.cpu.limit").at(-1)?.value).toBe(CORES);
  } finally {
    await app.stop();
    await group.remove();
    await sink.close();
  }
});
