import type { PanelType } from "./panel-view.ts";
import { stat } from "./stat.ts";
import { table } from "./table.ts";
import { text } from "./text.ts";
import { timeseries } from "./timeseries.ts";

/** Panel types this viewer draws; anything else becomes a card that says so. */
export const PANEL_TYPES: Record<string, PanelType | undefined> = {
  text,
  stat,
  timeseries,
  table,
};
