import type { Clock } from "../clock.ts";
import { Delivery, type Message } from "./delivery.ts";
import { postJson, publicName } from "./http.ts";
import { type Alert, alertmanagerBody, webhookBody } from "./payload.ts";

const MS_PER_S = 1000;
/** Prometheus sends firing alerts again at least this often and lets them expire after four times that. */
const MIN_RESEND_MS = 60 * MS_PER_S;
const EXPIRY_RESENDS = 4;
/** Alertmanager's default `repeat_interval`. */
export const REPEAT_MS = 4 * 3600 * MS_PER_S;

export interface NotifierOptions {
  webhookUrls: readonly URL[];
  alertmanagerUrls: readonly URL[];
  /** Where people open the product; part of every notification. */
  linkBase: string;
  intervalS: number;
  clock: Clock;
  /** What fires now, by rule; asked when Alertmanager needs to hear it again. */
  firing(): readonly Alert[];
  onOutcome(
    target: string,
    outcome: "delivered" | "refused" | "dropped" | "retried",
    subject: string,
    detail: string,
  ): void;
  onQueueChanged(): void;
}

/** Tells webhooks of changes, and Alertmanager of everything that fires, again and again, as it expects. */
export class Notifier {
  private readonly options: NotifierOptions;
  private readonly webhooks: Delivery[];
  private readonly alertmanagers: Delivery[];
  private cancelResend: (() => void) | undefined;

  constructor(options: NotifierOptions) {
    this.options = options;
    this.webhooks = options.webhookUrls.map((url, index) =>
      this.delivery(`webhook-${index + 1} (${publicName(url)})`, url, (body) => body),
    );
    this.alertmanagers = options.alertmanagerUrls.map((url, index) =>
      this.delivery(
        `alertmanager-${index + 1} (${publicName(url)})`,
        new URL("api/v2/alerts", withSlash(url)),
        (body) =>
          // The expiry is set when it is sent: a message that waited for an hour must not arrive expired.
          alertmanagerBody(body as Alert[], this.expiryMs()),
      ),
    );
  }

  get targets(): readonly Delivery[] {
    return [...this.webhooks, ...this.alertmanagers];
  }

  /** Takes up messages that an earlier process could not deliver; those of a target that is gone are forgotten. */
  restore(outbox: Readonly<Record<string, Message[]>>): void {
    for (const target of this.targets) for (const message of outbox[target.target] ?? []) target.push(message);
  }

  outbox(): Record<string, Message[]> {
    return Object.fromEntries(this.targets.map((target) => [target.target, target.pending()]));
  }

  start(): void {
    this.scheduleResend();
  }

  async close(graceMs: number): Promise<void> {
    this.cancelResend?.();
    await Promise.all(this.targets.map((target) => target.close(graceMs)));
  }

  /**
   * Alerts of one rule changed.
   *
   * @param firing Everything of the rule that fires now, changed or not: a webhook hears of the whole group, so that
   *   its status stays `firing` until the last one ended.
   * @param changed What began or ended just now.
   */
  notify(firing: readonly Alert[], changed: readonly Alert[]): void {
    if (changed.length === 0) return;
    const ended = changed.filter((alert) => alert.endedMs !== null);
    const subject = `${changed[0]!.ruleId}: ${changed.length - ended.length} firing, ${ended.length} resolved`;
    for (const group of byName([...firing, ...ended])) {
      if (!group.some((alert) => changed.some((one) => one.fingerprint === alert.fingerprint))) continue;
      for (const webhook of this.webhooks) webhook.push({ subject, body: webhookBody(group, this.options.linkBase) });
    }
    for (const target of this.alertmanagers) target.push({ subject, body: changed });
    this.options.onQueueChanged();
  }

  /** Alerts that have fired for so long that people should hear of them again. */
  remind(group: readonly Alert[]): void {
    for (const webhook of this.webhooks) {
      webhook.push({ subject: `${group[0]!.ruleId}: still firing`, body: webhookBody(group, this.options.linkBase) });
    }
    this.options.onQueueChanged();
  }

  private scheduleResend(): void {
    this.cancelResend = this.options.clock.after(this.resendMs(), () => {
      this.resend();
      this.scheduleResend();
    });
  }

  /** A target that has messages left hears of the alerts by those; more of the same would only fill its queue. */
  private resend(): void {
    const firing = this.options.firing();
    if (firing.length === 0) return;
    for (const target of this.alertmanagers) {
      if (target.length > 0) continue;
      target.push({ subject: `${firing.length} firing, again`, body: firing });
    }
  }

  private resendMs(): number {
    return Math.max(MIN_RESEND_MS, this.options.intervalS * MS_PER_S);
  }

  private expiryMs(): number {
    return this.options.clock.now() + EXPIRY_RESENDS * this.resendMs();
  }

  private delivery(target: string, url: URL, render: (body: unknown) => unknown): Delivery {
    const { clock, onOutcome, onQueueChanged } = this.options;
    return new Delivery({
      target,
      clock,
      send: (body, signal) => postJson(url, render(body), signal),
      onSettled: (outcome, message, detail) => {
        onOutcome(target, outcome, message.subject, detail);
        onQueueChanged();
      },
      onRetry: (message, detail, delayMs) =>
        onOutcome(target, "retried", message.subject, `${detail}; again in ${delayMs / MS_PER_S} s`),
    });
  }
}

function byName(alerts: readonly Alert[]): Alert[][] {
  const groups = new Map<string, Alert[]>();
  for (const alert of alerts) {
    const name = alert.labels.alertname ?? "";
    groups.set(name, [...(groups.get(name) ?? []), alert]);
  }
  return [...groups.values()];
}

const withSlash = (url: URL): URL => (url.pathname.endsWith("/") ? url : new URL(`${url.href}/`));
