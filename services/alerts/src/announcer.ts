import type { Rule } from "@tidemark/dashboards";
import { alertOf } from "./alert.ts";
import { type Notifier, REPEAT_MS } from "./notify/notifier.ts";
import type { Alert } from "./notify/payload.ts";
import type { Announced } from "./state-file.ts";
import type { Instance, RuleState } from "./state-machine.ts";

/** A query that fails for less than this is a restart of the store, and nobody needs to be called. */
export const FAILURE_GRACE_MS = 60_000;

/**
 * Keeps what receivers believe in step with what is true: compares the alerts of a rule with those announced, and has the
 * difference told. Since what was announced is saved with the state, a restart neither repeats nor forgets.
 */
export class Announcer {
  private readonly announced: Map<string, Announced>;
  private readonly notifier: Notifier;
  private readonly linkBase: string;

  constructor(notifier: Notifier, linkBase: string, saved: Readonly<Record<string, Announced>>) {
    this.notifier = notifier;
    this.linkBase = linkBase;
    this.announced = new Map(Object.entries(saved));
  }

  /** Alerts that receivers believe to fire now. */
  firing(): Alert[] {
    return [...this.announced.values()].flatMap(({ alerts }) => Object.values(alerts));
  }

  saved(): Record<string, Announced> {
    return Object.fromEntries(this.announced);
  }

  /** Tells of alerts of `rule` that began or ended. Returns whether it told anything. */
  update(rule: Rule, state: RuleState, nowMs: number): boolean {
    const before = this.announced.get(rule.id)?.alerts ?? {};
    const now: Record<string, Alert> = {};
    for (const instance of Object.values(state.instances)) {
      if (!isFiring(instance, nowMs)) continue;
      const alert = alertOf(rule, instance, null, this.linkBase);
      now[alert.fingerprint] = alert;
    }
    return this.tell(rule.id, before, now, nowMs);
  }

  /** Ends the alerts of rules that no longer exist. */
  forgetOthers(ruleIds: ReadonlySet<string>, nowMs: number): void {
    for (const [ruleId, { alerts }] of [...this.announced])
      if (!ruleIds.has(ruleId)) this.tell(ruleId, alerts, {}, nowMs);
  }

  private tell(ruleId: string, before: Record<string, Alert>, now: Record<string, Alert>, nowMs: number): boolean {
    const began = Object.values(now).filter((alert) => !before[alert.fingerprint]);
    const ended = Object.values(before)
      .filter((alert) => !now[alert.fingerprint])
      .map((alert) => ({ ...alert, endedMs: nowMs }));
    const firing = Object.values(now);
    const toldMs = this.announced.get(ruleId)?.toldMs ?? nowMs;
    if (began.length + ended.length > 0) {
      this.keep(ruleId, now, nowMs);
      this.notifier.notify(firing, [...began, ...ended]);
      return true;
    }
    if (firing.length > 0 && nowMs - toldMs >= REPEAT_MS) {
      this.keep(ruleId, now, nowMs);
      this.notifier.remind(firing);
      return true;
    }
    this.keep(ruleId, now, toldMs);
    return false;
  }

  private keep(ruleId: string, alerts: Record<string, Alert>, toldMs: number): void {
    if (Object.keys(alerts).length > 0) this.announced.set(ruleId, { toldMs, alerts });
    else this.announced.delete(ruleId);
  }
}

function isFiring(instance: Instance, nowMs: number): boolean {
  if (instance.phase === "pending") return false;
  if (instance.phase === "error") return nowMs - instance.sinceMs >= FAILURE_GRACE_MS;
  return true;
}
