import { lines, type Placed, rows } from "../panels/panels.ts";
import { DJANGO as DJANGO_HUE, shades, WARNING } from "../panels/theme.ts";
import { VARIABLE_FILTER, WITH_STEP } from "../sql/fragments.ts";
import { aggregateSeries, histogramSource, PROCESS } from "../sql/series.ts";
import {
  attribute,
  counts,
  DJANGO,
  durationTable,
  gauges,
  gaugesOf,
  means,
  meansOf,
  ofService,
  shares,
} from "./django-charts.ts";
import type { RowSpec } from "./layout.ts";

/** What stood before Django, and what never got in. */
export const beforeDjangoPanels: readonly Placed[] = [
  means({
    id: 323,
    title: "How long did requests wait before Django?",
    description:
      "Mean wait before the application, by how it is known: `tcp_info` and `unix_diag` from the socket, `executor` from the server's own queue, `header` since a proxy's stamp. Clients wait this on top of every duration the application reports; `header` far above the socket is time in the proxy.",
    width: 8,
    unit: "s",
    noValue: "no request whose wait is known",
    metric: "tidemark.http.server.queue.duration",
    name: ofService(attribute("tidemark.queue.source")),
  }),
  lines({
    id: 324,
    colours: shades(DJANGO_HUE),
    title: "How much work is turned away?",
    description:
      "Work refused in each second, by what refused it: connections beyond the backlog, requests above uvicorn's limit, time-outs of a database pool, full channels. Each is an error that somebody saw.",
    width: 8,
    unit: "none",
    noValue: "nothing was turned away",
    sql: aggregateSeries({
      from: "resource_samples",
      name: "concat(service, ' ', kind, ' ', name)",
      where: `${DJANGO} AND kind IN ('listen_queue', 'worker', 'db_pool', 'channel_layer') AND rejected IS NOT NULL`,
      value: "sum(rejected) / step",
      having: "value > 0",
    }),
  }),
  counts({
    id: 325,
    title: "How many workers are given up?",
    description:
      "Workers that gunicorn or uWSGI ended because they did not answer in time (`--timeout`, `--harakiri`). Each took its requests with it; the table of stalls has the line it stood in.",
    width: 8,
    unit: "none",
    noValue: "no worker was given up",
    metric: "tidemark.worker.timeouts",
    name: "toString(service)",
    per: "bucket",
  }),
];

/** What the interpreter does beside running views. */
export const interpreterPanels: readonly Placed[] = [
  lines({
    id: 337,
    colours: shades(DJANGO_HUE),
    title: "How long does garbage collection stop a process?",
    description:
      "Share of the time that Python's cyclic collector ran, in which no thread of the process runs. Above 5 %: fewer objects kept, `gc.freeze()` after loading, or a higher threshold.",
    width: 8,
    unit: "percentunit",
    thresholds: [{ from: 0.05, colour: WARNING }],
    sql: aggregateSeries({
      from: histogramSource("tidemark.cpython.gc.pause"),
      name: PROCESS,
      where: DJANGO,
      value: "sum(sum) / step",
    }),
  }),
  means({
    id: 338,
    title: "How often does a request hop threads?",
    description:
      "Mean hops of a request between the event loop and a thread. An asynchronous view behind synchronous middleware pays two for each change; 0 is a stack of one kind.",
    width: 8,
    unit: "none",
    noValue: "no requests by ASGI",
    metric: "tidemark.asgiref.hops",
    name: "toString(service)",
  }),
  means({
    id: 339,
    title: "How much processor does a request take?",
    description:
      "Mean processor time of a request's own thread, of a sample of the requests. Near the request's duration: the code computes, and threads beside it wait for the interpreter lock.",
    width: 8,
    unit: "s",
    noValue: "not measured: ASGI or gevent",
    metric: "tidemark.http.server.cpu.duration",
    name: "toString(service)",
  }),
];

/** What requests ask of the database, and what they hold there. */
export const databasePanels: readonly Placed[] = [
  meansOf({
    id: 345,
    title: "How long do transactions hold locks?",
    description:
      "Mean duration of a transaction from its first statement, and the part of it in which no statement ran (dashed). Others wait for its locks all that time: move what is not a query out of it.",
    width: 8,
    unit: "s",
    dashed: "/idle/",
    noValue: "no transactions",
    metrics: { held: "tidemark.db.transaction.duration", idle: "tidemark.db.transaction.idle_time" },
  }),
  gauges({
    id: 346,
    title: "How many connections to the database are open?",
    description:
      "Open connections of all processes by alias and state. Idle ones without a pool are `CONN_MAX_AGE`: each costs the database memory, and one of its `max_connections`.",
    width: 8,
    unit: "none",
    dashed: "/idle/",
    noValue: "no connections",
    metric: "db.client.connection.count",
    name: ofService(attribute("db.client.connection.pool.name"), attribute("db.client.connection.state")),
  }),
  means({
    id: 347,
    title: "What does opening a connection take?",
    description:
      "Mean time to open a connection (`connect`), to open the pool with its first request (`pool_open`), or to be given one of the pool (`pool_get`). Milliseconds per request without a pool: CONN_MAX_AGE or a pool saves them.",
    width: 8,
    unit: "s",
    noValue: "none was opened",
    metric: "db.client.connection.create_time",
    name: ofService(attribute("db.client.connection.pool.name"), attribute("tidemark.db.connect.kind")),
  }),
  rows({
    id: 348,
    title: "Which routes run most queries?",
    description:
      "Queries of one request by route: mean and most. A number that grows with the data is an N+1; the table of repeats names the statement.",
    width: 24,
    height: 8,
    units: { requests: "short", mean: "none", most: "none" },
    widths: { service: 200, requests: 110, mean: 110, most: 110 },
    noValue: "no queries",
    sql: `${WITH_STEP}
SELECT toString(service) AS service, ${attribute("http.route")} AS route, toFloat64(sum(count)) AS requests,
  toFloat64(sum(sum) / sum(count)) AS mean, toFloat64(max(max)) AS most
FROM ${histogramSource("tidemark.db.queries_per_request")}
WHERE ${DJANGO} AND ${VARIABLE_FILTER}
GROUP BY service, route
HAVING sum(count) > 0
ORDER BY mean DESC
LIMIT 30`,
  }),
];

/** What a worker holds, shares and grows by. */
export const memoryPanels: readonly Placed[] = [
  gaugesOf({
    id: 353,
    title: "What does a worker hold alone, and what does it share?",
    description:
      "Unique set size of each process, and the written pages it still shares with its master by copy-on-write (dashed). With `--preload` the dashed line is what the fleet saves for each worker; where it falls while the other climbs, pages are being copied: `gc.freeze()` in `pre_fork` keeps more of them.",
    width: 8,
    unit: "bytes",
    dashed: "/shared/",
    noValue: "not Linux",
    metrics: { alone: "tidemark.process.memory.uss", shared: "tidemark.process.memory.shared" },
    by: PROCESS,
  }),
  gauges({
    id: 354,
    title: "What does a worker grow by in 1,000 requests?",
    description:
      "Bytes that the process's own memory grows by with 1,000 requests, fitted over those it served. 0 is healthy; a line that stays is a leak: `--max-requests` hides it, the routes of the time tell more.",
    width: 8,
    unit: "bytes",
    noValue: "not enough requests yet",
    metric: "tidemark.process.memory.growth",
    name: PROCESS,
  }),
  gauges({
    id: 355,
    title: "How many files does a process have open?",
    description: "Open descriptors: files, sockets, pipes. A line that only climbs is a leak, and ends at `ulimit -n`.",
    width: 8,
    unit: "none",
    noValue: "not Linux",
    metric: "process.open_file_descriptor.count",
    name: PROCESS,
  }),
];

/** What pages are made of beside queries. */
export const pagesRow: RowSpec = {
  id: 370,
  title: "What do the cache, templates and middleware take?",
  panels: [
    shares({
      id: 371,
      title: "How often does the cache know the answer?",
      description:
        "Share of the keys asked for that the cache had, by alias. Low: keys differ more than the answers do, or entries end too soon.",
      width: 8,
      unit: "percentunit",
      noValue: "no cache is used",
      part: "tidemark.cache.hits",
      rest: "tidemark.cache.misses",
      name: ofService(attribute("tidemark.cache.alias")),
    }),
    means({
      id: 372,
      title: "How long does a cache operation take?",
      description: "Mean by alias and operation. Above a query's time, the cache costs more than it saves.",
      width: 8,
      unit: "s",
      noValue: "no cache is used",
      metric: "tidemark.cache.operation.duration",
      name: ofService(attribute("tidemark.cache.alias"), attribute("tidemark.cache.operation")),
    }),
    shares({
      id: 376,
      title: "How often are cached fragments found?",
      description: "Share of the cached template fragments that were found and not rendered, by name.",
      width: 8,
      unit: "percentunit",
      noValue: "no cached fragments",
      part: "tidemark.template.fragment.hits",
      rest: "tidemark.template.fragment.misses",
      name: ofService(attribute("tidemark.template.fragment")),
    }),
    durationTable({
      id: 373,
      title: "Which templates take longest to render?",
      description:
        "Renderings of Django's and Jinja2's templates, with what they include and the queries they run. Most time together first.",
      width: 8,
      by: "tidemark.template.name",
      metric: "tidemark.template.render.duration",
      noValue: "no templates",
    }),
    durationTable({
      id: 374,
      title: "What does a fragment cost uncached?",
      description: "What rendering a fragment took where the cache did not have it.",
      width: 8,
      by: "tidemark.template.fragment",
      metric: "tidemark.template.fragment.render.duration",
      noValue: "no fragment was rendered",
    }),
    durationTable({
      id: 375,
      title: "Which middleware takes time itself?",
      description:
        "Time of each middleware without what it wraps, hops between sync and async included. Measured with `TIDEMARK_MIDDLEWARE=1` only.",
      width: 8,
      by: "tidemark.middleware.name",
      metric: "tidemark.http.server.middleware.duration",
      noValue: "TIDEMARK_MIDDLEWARE is not set",
    }),
  ],
};

/** Channels: its layers and its WebSockets. */
export const channelsRow: RowSpec = {
  id: 380,
  title: "Do Channels and WebSockets keep up?",
  panels: [
    means({
      id: 381,
      title: "How long is a hop through a layer?",
      description:
        "Mean of a message of the agent's own from send to receive, once per export. It is what every group message waits at least.",
      width: 6,
      unit: "s",
      noValue: "no channel layer is used",
      metric: "tidemark.channels.layer.hop.duration",
      name: ofService(attribute("tidemark.resource.name")),
    }),
    lines({
      id: 382,
      colours: shades(DJANGO_HUE),
      title: "How many messages wait?",
      description:
        "Messages of the layer that no consumer has taken, in the process and in Redis, the most of each bucket. A channel that is full turns messages away: see what is turned away above.",
      width: 6,
      unit: "none",
      noValue: "no channel layer is used",
      sql: aggregateSeries({
        from: "resource_samples",
        name: "concat(service, ' ', name)",
        where: `${DJANGO} AND kind = 'channel_layer' AND waiting_max IS NOT NULL`,
        value: "max(waiting_max)",
      }),
    }),
    means({
      id: 383,
      title: "What does an operation take?",
      description: "Mean by layer and operation. `group_send` grows with the members of the group.",
      width: 6,
      unit: "s",
      noValue: "no channel layer is used",
      metric: "tidemark.channels.layer.duration",
      name: ofService(attribute("tidemark.resource.name"), attribute("tidemark.cache.operation")),
    }),
    gauges({
      id: 384,
      title: "Which consumers hold the WebSockets?",
      description:
        "Open WebSockets by Channels' consumer, all processes together. Synchronous consumers share one thread of their process.",
      width: 6,
      unit: "none",
      noValue: "no consumers of Channels",
      metric: "tidemark.websocket.connections",
      name: ofService(attribute("tidemark.websocket.consumer")),
    }),
  ],
};
