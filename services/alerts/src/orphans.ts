import { type AlertEvent, clickhouseTime } from "./events.ts";
import type { RuleState } from "./state-machine.ts";

/**
 * Events that end what `alert_events` believes to go on and nobody knows of: a rule that is gone, a state that was lost with its
 * disk, an event that could not be kept. Without them such an alert would be shown for ever.
 *
 * @param open The last event of each label set that has not ended.
 * @param states What goes on; a rule whose query fails is left alone, for nobody knows what would be true.
 */
export function orphans(
  open: readonly AlertEvent[],
  states: ReadonlyMap<string, RuleState>,
  nowMs: number,
): AlertEvent[] {
  return open
    .filter(({ rule_id, fingerprint }) => {
      const state = states.get(rule_id);
      return !state || (state.health !== "error" && !state.instances[fingerprint]);
    })
    .map((event) => ({
      ...event,
      ts: clickhouseTime(nowMs),
      state: event.state === "pending" ? "inactive" : "recovered",
    }));
}
