import { join } from "node:path";
import { expandTimeMacros, type Profile, type Rule, rulesFor } from "@tidemark/dashboards";
import type { FastifyInstance, FastifyServerOptions } from "fastify";
import { eventOf, policyOf } from "./alert.ts";
import { Announcer } from "./announcer.ts";
import { buildApp } from "./app.ts";
import { type Clock, systemClock } from "./clock.ts";
import { openDatabase } from "./database.ts";
import { type EvaluatedRule, Evaluator } from "./evaluator.ts";
import { EventLog } from "./events.ts";
import { Notifier } from "./notify/notifier.ts";
import { orphans } from "./orphans.ts";
import { buildSelfMetrics } from "./self-metrics.ts";
import { StateFile } from "./state-file.ts";
import { emptyRuleState, type RuleState, type Transition } from "./state-machine.ts";
import { viewOf } from "./view.ts";

export type { AlertsView, CurrentAlert, CurrentRule } from "./app.ts";
export type { Clock } from "./clock.ts";
export type { WebhookAlert, WebhookBody } from "./notify/payload.ts";
export { StateFileError } from "./state-file.ts";
export * from "./state-machine.ts";

const MS_PER_S = 1000;
const CLOSE_GRACE_MS = 1500;

export interface AlertsConfig {
  /** `http://user:password@host:port/database`; the user may write `alert_events`. */
  clickhouseUrl: string;
  /** The state is kept in `<dataDir>/alerts`. */
  dataDir: string;
  profile: Profile;
  /** Seconds between two evaluations of a rule. */
  intervalS: number;
  webhookUrls: readonly URL[];
  alertmanagerUrls: readonly URL[];
  /** Base of the links in notifications: Grafana or the viewer, without a slash at the end; empty for none. */
  linkBase: string;
  /** Wanted for `/api/alerts` when given. */
  token?: string;
  logger: NonNullable<FastifyServerOptions["logger"]>;
  /** The rules of the profile unless given. */
  rules?: readonly Rule[];
  clock?: Clock;
}

export interface Alerts {
  /** The HTTP side, not yet listening. */
  app: FastifyInstance;
  /** Begins to evaluate and to deliver what an earlier process left behind. */
  start(): void;
  /** Evaluates every rule once, now. */
  evaluate(): Promise<void>;
  /** Ends queries and deliveries, saves the state, closes the HTTP side. */
  stop(): Promise<void>;
}

/**
 * The evaluator of the alert rules, without a port and without a running timer.
 *
 * @throws StateFileError if the data directory cannot be used.
 */
export function buildAlerts(config: AlertsConfig): Alerts {
  const clock = config.clock ?? systemClock;
  const rules = config.rules ?? rulesFor(config.profile);
  const byId = new Map(rules.map((rule) => [rule.id, rule]));
  const metrics = buildSelfMetrics();
  const file = new StateFile(join(config.dataDir, "alerts", "state.json"));
  const database = openDatabase(config.clickhouseUrl);
  const states = new Map<string, RuleState>(rules.map((rule) => [rule.id, emptyRuleState()]));

  const evaluator = new Evaluator({
    rules: rules.map((rule) => evaluated(rule)),
    states,
    clock,
    intervalS: config.intervalS,
    query: (sql, timeoutMs, signal) => database.query(sql, timeoutMs, signal),
    onEvaluated: (rule, state, transitions, durationMs) =>
      evaluatedOnce(byId.get(rule.id)!, state, transitions, durationMs),
  });
  const app = buildApp(
    viewOf({ rules, states, clock, intervalS: config.intervalS, evaluator }),
    metrics,
    config.logger,
    config.token,
  );
  const saved = file.load((message) => app.log.error(message));

  const notifier: Notifier = new Notifier({
    webhookUrls: config.webhookUrls,
    alertmanagerUrls: config.alertmanagerUrls,
    linkBase: config.linkBase,
    intervalS: config.intervalS,
    clock,
    firing: () => announcer.firing(),
    onOutcome: (target, outcome, subject, detail) => {
      metrics.notifications.inc({ target, outcome });
      if (outcome === "delivered") app.log.info({ target, subject }, "notification delivered");
      else app.log.warn({ target, subject, detail }, `notification ${outcome}`);
    },
    onQueueChanged: save,
  });
  const announcer = new Announcer(notifier, config.linkBase, saved?.announced ?? {});
  const events = new EventLog({
    clock,
    insert: (rows, token) => database.insert(rows, token),
    onStored: (rows) => {
      metrics.eventsStored.inc(rows);
      save();
    },
    onDropped: (rows) => {
      metrics.eventsDropped.inc(rows);
      app.log.error({ rows }, "alert events dropped: ClickHouse was away for too long");
    },
    onRetry: (detail, delayMs) => app.log.warn({ detail, delayMs }, "alert events not stored yet"),
  });
  for (const [id, state] of Object.entries(saved?.rules ?? {})) if (byId.has(id)) states.set(id, state);

  function evaluated(rule: Rule): EvaluatedRule {
    return {
      id: rule.id,
      policy: policyOf(rule),
      sql: (nowMs) =>
        expandTimeMacros(rule.sql, {
          from: new Date(nowMs - rule.windowSeconds * MS_PER_S),
          to: new Date(nowMs),
          intervalMs: config.intervalS * MS_PER_S,
        }),
    };
  }

  function evaluatedOnce(rule: Rule, state: RuleState, transitions: readonly Transition[], durationMs: number): void {
    metrics.evaluations.inc({ rule: rule.id, result: state.health });
    metrics.evaluationSeconds.observe({ rule: rule.id }, durationMs / MS_PER_S);
    for (const { state: to, instance, reason } of transitions) {
      const { labels, value, message } = instance;
      const line = { rule: rule.id, state: to, labels, value, ...(reason && { reason }), ...(message && { message }) };
      if (to === "error") app.log.warn(line, `alert ${to}`);
      else app.log.info(line, `alert ${to}`);
    }
    const told = announcer.update(rule, state, clock.now());
    if (transitions.length > 0) events.push(transitions.map((transition) => eventOf(rule, transition)));
    if (transitions.length > 0 || told) save();
    if (!reconciled && [...states.values()].every(({ health }) => health !== "unknown")) void reconcile();
  }

  /** Once, when every rule has been seen: ends in `alert_events` what no longer goes on. */
  let reconciled = false;
  async function reconcile(): Promise<void> {
    reconciled = true;
    try {
      events.push(orphans(await database.open(), states, clock.now()));
    } catch (error) {
      reconciled = false;
      app.log.debug({ err: error }, "alert_events not compared yet");
    }
  }

  let full = false;
  function save(): void {
    try {
      file.save({
        rules: Object.fromEntries(states),
        announced: announcer.saved(),
        outbox: notifier.outbox(),
        events: events.pending(),
      });
      full = false;
    } catch (error) {
      // A full disk must not stop alerting; it is said once, and the next change tries again.
      if (!full) app.log.error(error instanceof Error ? error.message : String(error));
      full = true;
    }
  }

  app.addHook("onRequest", (request, _reply, done) => {
    if (request.url === "/metrics") measure();
    done();
  });

  function measure(): void {
    metrics.instances.reset();
    for (const [rule, state] of states) {
      for (const { phase } of Object.values(state.instances)) metrics.instances.inc({ rule, phase });
    }
    for (const target of notifier.targets) metrics.queued.set({ target: target.target }, target.length);
    metrics.eventsQueued.set(events.length);
  }

  return {
    app,
    start() {
      if (saved) {
        notifier.restore(saved.outbox);
        events.push(saved.events);
      }
      announcer.forgetOthers(new Set(byId.keys()), clock.now());
      save();
      notifier.start();
      evaluator.start();
    },
    async evaluate() {
      await Promise.all(rules.map((rule) => evaluator.evaluate(evaluated(rule))));
    },
    async stop() {
      await evaluator.stop();
      await Promise.all([notifier.close(CLOSE_GRACE_MS), events.close(CLOSE_GRACE_MS)]);
      save();
      await app.close();
      await database.close();
    },
  };
}
