import { lines } from "../panels/panels.ts";
import { NODE as NODE_HUE, shades } from "../panels/theme.ts";
import { aggregateSeries, gaugeSeries, metricSource, type Subquery } from "../sql/series.ts";
import { fromWindows } from "../sql/windows.ts";
import type { RowSpec } from "./layout.ts";
import { processGauge } from "./shared.ts";

const NODE = "runtime = 'node'";
const COLOURS = { ...shades(NODE_HUE), "/received|open/": NODE_HUE.main, "/sent|compressed/": NODE_HUE.light };
const DASHES = { "/sent|compressed/": [6, 3] };
const DIRECTED = "concat(service, if(attributes['tidemark.connection.direction'] = 'inbound', ' received', ' sent'))";
const NO_WEB_SOCKETS = "no WebSockets of ws or Socket.IO";

/** Open WebSockets, and of those the compressed ones, in one form. */
const OPEN: Subquery = `(
  SELECT ts, service, runtime, instance, concat(service, ' open') AS label, connections_sum AS total, connections_n AS n
  ${fromWindows("connection_memory", "kind connections_sum connections_n")} AND kind = 'websocket' AND connections_n > 0
  UNION ALL
  SELECT ts, service, runtime, instance, concat(service, ' compressed') AS label, total, n FROM ${metricSource("tidemark.websocket.compressed")}
)`;

/** What WebSockets carry, and what waits in the process for slow receivers. */
export const webSocketsRow: RowSpec = {
  id: 270,
  title: "What do the WebSockets carry?",
  panels: [
    lines({
      id: 271,
      colours: COLOURS,
      dashes: DASHES,
      title: "How many WebSockets are open?",
      description:
        "Open WebSockets, and those of them that are compressed (dashed). A compressed one costs tens of kilobytes for its contexts: where memory is short, turn `perMessageDeflate` off.",
      width: 6,
      unit: "none",
      noValue: "no WebSockets",
      sql: gaugeSeries({
        from: OPEN,
        name: "label",
        where: NODE,
        key: "instance",
        value: "sum(total) / sum(n)",
        combine: "sum",
      }),
    }),
    lines({
      id: 272,
      colours: COLOURS,
      dashes: DASHES,
      title: "How many messages go each way?",
      description:
        "Messages per second that the service's WebSockets received and sent (dashed). Many sent for each one received is a broadcast: its price grows with the open connections.",
      width: 6,
      unit: "mps",
      noValue: NO_WEB_SOCKETS,
      sql: aggregateSeries({
        from: metricSource("tidemark.websocket.messages"),
        name: DIRECTED,
        where: NODE,
        value: "sum(total) / step",
      }),
    }),
    lines({
      id: 273,
      colours: COLOURS,
      dashes: DASHES,
      title: "How many bytes go each way?",
      description:
        "Bytes per second on open WebSockets as they were on the wire, so compressed ones where compression is on; sent is dashed.",
      width: 6,
      unit: "binBps",
      noValue: NO_WEB_SOCKETS,
      sql: aggregateSeries({
        from: metricSource("tidemark.websocket.bytes"),
        name: DIRECTED,
        where: NODE,
        value: "sum(total) / step",
      }),
    }),
    lines({
      id: 274,
      colours: COLOURS,
      title: "How much waits for slow receivers?",
      description:
        "Bytes that were sent and still wait in the process, since receivers do not keep up. A line that grows is memory that a slow client takes: look at `bufferedAmount` before sending, and drop or close.",
      width: 6,
      unit: "bytes",
      noValue: NO_WEB_SOCKETS,
      sql: processGauge("tidemark.websocket.buffered", "node"),
    }),
  ],
};
