import { readFileSync } from "node:fs";
import type { Dashboard } from "../../src/grafana/model.ts";

/** A dashboard of test/fixtures. */
export function fixture(uid: string): Dashboard {
  return JSON.parse(readFileSync(new URL(`../fixtures/${uid}.json`, import.meta.url), "utf8")) as Dashboard;
}
