import { bucketQuantile } from "@tidemark/store";
import { lines, type Placed, rows, stackedBars } from "../panels/panels.ts";
import { NEUTRAL, NODE as NODE_HUE, OK, shades, WARNING } from "../panels/theme.ts";
import { VARIABLE_FILTER, WITH_STEP } from "../sql/fragments.ts";
import { aggregateSeries, gaugeSeries, metricSource, PROCESS, quantileSeries, type Subquery } from "../sql/series.ts";
import { fromWindows } from "../sql/windows.ts";
import type { RowSpec } from "./layout.ts";

const NODE = "runtime = 'node'";
const CLUSTER = `${NODE} AND kind = 'worker' AND name = 'cluster'`;
const THREADS = `${NODE} AND kind = 'event_loop' AND name LIKE 'worker-%'`;
const THREAD = `concat(${PROCESS}, ' ', substring(name, 8))`;
const COLOURS = shades(NODE_HUE);
const ENDING_COLOURS = {
  "/./": NODE_HUE.dark,
  "/SIG/": "#8E6FC9",
  "/SIGKILL/": "#C15C9B",
  "/code 0/": NEUTRAL,
  "/replaced/": NODE_HUE.light,
};

/** Why the main thread did not move on: its own code, or nobody gave it a core. */
export const processorRow: RowSpec = {
  id: 260,
  title: "Is it our JavaScript, or no processor?",
  panels: [ranOrWaitedPanel(), runQueuePanel(), quotaPanel()],
};

/** How the processes of `cluster` and pm2 and the worker threads share the work. */
export const sharingRow: RowSpec = {
  id: 250,
  title: "Do processes and threads share the work?",
  panels: [balancePanel(), workersUpPanel(), endingsPanel(), balanceTable(), threadsBusyPanel(), threadsWaitPanel()],
};

function ranOrWaitedPanel(): Placed {
  return lines({
    id: 261,
    colours: { ...COLOURS, "/no core/": NODE_HUE.light },
    dashes: { "/no core/": [6, 3] },
    title: "Did the main thread run, or had it no core?",
    description:
      "Share of its time that the main thread ran, and that it was ready to run and had no core (dashed), mean of the processes of a service. A high line that ran: our code keeps the loop busy. A high dashed line: the machine or the quota is too small, and the loop's waits are not the code's fault. Linux only.",
    width: 8,
    unit: "percentunit",
    max: 1,
    noValue: "no scheduler statistics: not Linux, or a kernel without them",
    sql: gaugeSeries({
      from: metricSource("tidemark.thread.cpu.time"),
      name: "concat(service, if(attributes['tidemark.cpu.state'] = 'running', ' ran', ' had no core'))",
      where: `${NODE} AND attributes['tidemark.thread.role'] = 'main'`,
      key: "instance",
      value: "sum(total) / step",
      combine: "avg",
    }),
  });
}

function runQueuePanel(): Placed {
  return lines({
    id: 246,
    colours: COLOURS,
    title: "Does the process get a core when it wants one?",
    description:
      "p95 of the time the main thread was ready to run and had no core. High: the machine is starved or the container is throttled, and the loop's waits are not the code's fault.",
    width: 8,
    unit: "s",
    sql: quantileSeries({
      from: "resource_samples",
      name: PROCESS,
      where: `${NODE} AND kind = 'cpu'`,
      buckets: "wait_buckets",
      quantiles: [0.95],
      suffix: false,
    }),
  });
}

/** All processes of a container tell the same counts, so that the quotient of their sums is the container's. */
function quotaPanel(): Placed {
  const source = (metric: string, columns: string): string =>
    `SELECT ts, service, runtime, instance, ${columns} FROM ${metricSource(metric)}`;
  const from: Subquery = `(
  ${source("tidemark.cgroup.cpu.throttled_periods", "total AS stopped, 0 AS periods")}
  UNION ALL
  ${source("tidemark.cgroup.cpu.periods", "0 AS stopped, total AS periods")}
)`;
  return lines({
    id: 262,
    colours: COLOURS,
    title: "Does the container's own quota stop it?",
    description:
      "Share of the quota's periods (100 ms by default) in which the container had used up its processor time and was stopped until the next. Anything above zero is latency that no profile of the code shows: raise the limit, or start fewer threads. Empty where there is no quota.",
    width: 8,
    unit: "percentunit",
    max: 1,
    thresholds: [
      { from: 0, colour: OK },
      { from: 0.05, colour: WARNING },
    ],
    noValue: "no quota of processor time",
    sql: aggregateSeries({ from, name: "service", where: NODE, value: "sum(stopped) / nullIf(sum(periods), 0)" }),
  });
}

function balancePanel(): Placed {
  return lines({
    id: 251,
    colours: COLOURS,
    title: "How evenly do the processes serve?",
    description:
      "Requests per second of each process. Lines that lie together are good balance; one far above the others under `cluster` means long-lived connections stuck to it, or that the operating system hands out connections.",
    width: 8,
    unit: "reqps",
    sql: aggregateSeries({ from: "http_requests", name: PROCESS, where: NODE, value: "sum(count) / step" }),
  });
}

function workersUpPanel(): Placed {
  return lines({
    id: 252,
    colours: COLOURS,
    title: "How many cluster workers are up?",
    description:
      "Workers of `cluster` that are up, as the primary sees them. A step down that stays is a worker that nobody started again.",
    width: 8,
    unit: "none",
    noValue: "no process that starts cluster workers",
    sql: gaugeSeries({
      from: "resource_samples",
      name: "toString(service)",
      where: `${CLUSTER} AND capacity_n > 0`,
      key: "instance",
      value: "sum(capacity_sum) / sum(capacity_n)",
      combine: "sum",
    }),
  });
}

function endingsPanel(): Placed {
  const source = (metric: string, name: string): string =>
    `SELECT ts, service, runtime, instance, concat(service, ${name}) AS label, total FROM ${metricSource(metric)}`;
  const ended = "' ended: ', if(attributes['error.type'] = '', 'code 0', attributes['error.type'])";
  return stackedBars({
    id: 253,
    colours: ENDING_COLOURS,
    title: "Do cluster workers end, and are they replaced?",
    description:
      "Workers that ended, by signal or exit code, and those that were started in the place of one. Half of each bar should say `replaced`. Endings in a row are a crash loop: read the worker's log; SIGKILL is often the kernel, out of memory.",
    width: 8,
    unit: "none",
    noValue: "no cluster worker has ended",
    sql: aggregateSeries({
      from: `(
  ${source("tidemark.worker.exits", ended)}
  UNION ALL
  ${source("tidemark.worker.restarts", "' replaced'")}
)`,
      name: "label",
      where: NODE,
      value: "sum(total)",
      having: "value > 0",
    }),
  });
}

function balanceTable(): Placed {
  return rows({
    id: 247,
    title: "Do the workers share the load?",
    description: "Requests and p95 of each process in the range. Even numbers are good balance.",
    width: 24,
    height: 6,
    units: { "requests/s": "reqps", p95: "s" },
    sql: `${WITH_STEP}
SELECT ${PROCESS} AS process, toFloat64(sum(count) / greatest(1, toUnixTimestamp($__toTime) - toUnixTimestamp($__fromTime))) AS "requests/s",
  toFloat64(${bucketQuantile("sumMap(buckets)", 0.95)}) AS p95
${fromWindows("http_requests", "worker count buckets")} AND ${NODE} AND ${VARIABLE_FILTER}
GROUP BY process
ORDER BY "requests/s" DESC
LIMIT 50`,
  });
}

function threadsBusyPanel(): Placed {
  return lines({
    id: 254,
    colours: COLOURS,
    legend: "figures",
    title: "How busy is each worker thread?",
    description:
      "Utilisation of the event loop of each worker thread (`worker_threads`), by its name or file. All near 1: more threads, or less work; one at 1 beside idle ones: the work is not spread.",
    width: 12,
    unit: "percentunit",
    max: 1,
    noValue: "no worker threads",
    sql: aggregateSeries({
      from: "resource_samples",
      name: THREAD,
      where: `${THREADS} AND busy_n > 0`,
      value: "sum(busy_sum) / sum(busy_n)",
    }),
  });
}

function threadsWaitPanel(): Placed {
  return lines({
    id: 255,
    colours: COLOURS,
    legend: "figures",
    title: "How long does a message wait for a worker thread?",
    description:
      "p95 of what a message posted at a random moment waits until the worker thread takes it. It grows with the length of the thread's tasks: hand out work by who is free, not in turn.",
    width: 12,
    unit: "s",
    noValue: "no worker threads",
    sql: quantileSeries({
      from: "resource_samples",
      name: THREAD,
      where: THREADS,
      buckets: "wait_buckets",
      quantiles: [0.95],
      suffix: false,
    }),
  });
}
