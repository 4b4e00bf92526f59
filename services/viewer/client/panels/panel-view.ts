import type { Frame } from "../../src/frames/frame.ts";
import type { DataLink, Panel } from "../../src/grafana/model.ts";
import type { Annotation } from "../../src/routes/view.ts";
import type { Theme } from "../colors.ts";
import type { DisplayField } from "../fields.ts";

/** What a panel draws from. Times in milliseconds since 1970. */
export interface PanelData {
  panel: Panel;
  fields: DisplayField[];
  frames: Frame[];
  from: number;
  to: number;
  theme: Theme;
  annotations: Annotation[];
  /** Fills variables in texts and links. */
  variable(text: string): string;
  link(link: DataLink, field: DisplayField, row: number): string;
  zoom(from: number, to: number): void;
  zoomOut(): void;
  shareCursor: boolean;
}

/** A drawn panel. `update` replaces everything it shows; sizes are those of `body`. */
export interface PanelView {
  update(data: PanelData): void;
  resize?(): void;
  destroy?(): void;
}

export type PanelType = (body: HTMLElement) => PanelView;
