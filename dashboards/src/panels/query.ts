import type { Builder, Dataquery } from "@grafana/grafana-foundation-sdk/cog";
import { DATASOURCE_TYPE, DATASOURCE_UID } from "../datasource.ts";

export const DATASOURCE = { type: DATASOURCE_TYPE, uid: DATASOURCE_UID } as const;
/** Version of the plugin whose query model this is. */
const PLUGIN_VERSION = "4.14.1";

/** Grafana's result formats: 0 turns long rows into one series per set of text columns, 1 leaves the table alone. */
export type Format = "timeseries" | "table";

/** One query of a panel, as the ClickHouse plugin stores it. */
export class ClickHouseQuery implements Builder<Dataquery> {
  readonly #target: object;

  constructor(rawSql: string, format: Format, refId = "A") {
    this.#target = {
      refId,
      datasource: DATASOURCE,
      editorType: "sql",
      queryType: format,
      format: format === "timeseries" ? 0 : 1,
      rawSql: rawSql.trim(),
      pluginVersion: PLUGIN_VERSION,
    };
  }

  build(): Dataquery {
    return { ...this.#target, _implementsDataqueryVariant: () => {} };
  }
}
