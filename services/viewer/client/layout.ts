import type { GridPos, Panel } from "../src/grafana/model.ts";

export const COLUMNS = 24;
const DEFAULT_POS: GridPos = { x: 0, y: 0, w: 12, h: 8 };

/** A row's title with what stands below it; the panels above the first row have none. */
export interface Section {
  row: Panel | undefined;
  collapsed: boolean;
  panels: Panel[];
}

/** Splits a dashboard into its rows. A collapsed row carries its panels inside, an open one is followed by them. */
export function sections(panels: Panel[]): Section[] {
  const ordered = [...panels].sort((a, b) => position(a).y - position(b).y || position(a).x - position(b).x);
  const result: Section[] = [{ row: undefined, collapsed: false, panels: [] }];
  for (const panel of ordered) {
    if (panel.type === "row") {
      result.push({ row: panel, collapsed: panel.collapsed === true, panels: [...(panel.panels ?? [])] });
    } else result.at(-1)!.panels.push(panel);
  }
  return result.filter(({ row, panels: inside }) => row || inside.length > 0);
}

export function position(panel: Panel): GridPos {
  return { ...DEFAULT_POS, ...panel.gridPos };
}

/** One panel for each value of its repeat variable, side by side or below each other. */
export function repeatPanels(
  panels: Panel[],
  values: (name: string) => string[],
): { panel: Panel; scope: Record<string, string> }[] {
  const result: { panel: Panel; scope: Record<string, string> }[] = [];
  let shift = 0;
  for (const panel of panels) {
    const pos = position(panel);
    const each = panel.repeat ? values(panel.repeat) : [];
    if (!panel.repeat || each.length === 0) {
      result.push({ panel: { ...panel, gridPos: { ...pos, y: pos.y + shift } }, scope: {} });
      continue;
    }
    const perRow = panel.repeatDirection === "v" ? 1 : Math.min(each.length, panel.maxPerRow ?? 4);
    const w = panel.repeatDirection === "v" ? pos.w : Math.floor(COLUMNS / perRow);
    each.forEach((value, i) => {
      const y = pos.y + shift + Math.floor(i / perRow) * pos.h;
      const x = panel.repeatDirection === "v" ? pos.x : (i % perRow) * w;
      result.push({ panel: { ...panel, gridPos: { x, y, w, h: pos.h } }, scope: { [panel.repeat!]: value } });
    });
    shift += (Math.ceil(each.length / perRow) - 1) * pos.h;
  }
  return result;
}
