import { bargauge } from "./bargauge.ts";
import { heatmap } from "./heatmap.ts";
import type { PanelType } from "./panel-view.ts";
import { stat } from "./stat.ts";
import { stateTimeline } from "./state-timeline.ts";
import { table } from "./table.ts";
import { text } from "./text.ts";
import { timeseries } from "./timeseries.ts";
import { xychart } from "./xychart.ts";

/** Panel types this viewer draws; anything else becomes a card that says so. */
export const PANEL_TYPES: Record<string, PanelType | undefined> = {
  bargauge,
  heatmap,
  stat,
  "state-timeline": stateTimeline,
  table,
  text,
  timeseries,
  xychart,
};
