import { expect, it } from "vitest";
import { Delivery, Refused } from "../src/notify/delivery.ts";
import { ManualClock } from "./support/manual-clock.ts";
import { until } from "./support/wait.ts";

function build(send: (body: unknown) => Promise<void>, limit = 1000) {
  const clock = new ManualClock();
  const settled: string[] = [];
  const pauses: number[] = [];
  const delivery = new Delivery({
    target: "webhook-1",
    send,
    clock,
    limit,
    onSettled: (outcome, { subject }) => settled.push(`${subject} ${outcome}`),
    onRetry: (_message, _detail, delayMs) => pauses.push(delayMs),
  });
  return { clock, delivery, settled, pauses };
}

it("tries again with pauses that double up to a minute, and keeps the order", async () => {
  let down = true;
  const sent: unknown[] = [];
  const { clock, delivery, settled, pauses } = build(async (body) => {
    if (down) throw new Error("connect ECONNREFUSED");
    sent.push(body);
  });
  delivery.push({ subject: "a", body: 1 });
  delivery.push({ subject: "b", body: 2 });
  for (let attempt = 1; attempt <= 8; attempt += 1) {
    await until("the attempt", () => pauses.length === attempt);
    if (attempt === 8) down = false;
    clock.advance(pauses.at(-1)!);
  }
  await until("both", () => sent.length === 2);
  expect(sent).toEqual([1, 2]);
  expect(settled).toEqual(["a delivered", "b delivered"]);
  expect(pauses).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
});

it("gives up a message that is refused for good, and goes on with the next", async () => {
  const { delivery, settled } = build(async (body) => {
    if (body === 1) throw new Refused("answered 400");
  });
  delivery.push({ subject: "a", body: 1 });
  delivery.push({ subject: "b", body: 2 });
  await until("both", () => settled.length === 2);
  expect(settled).toEqual(["a refused", "b delivered"]);
});

it("drops the oldest that is not on its way when the queue is full", async () => {
  const { delivery, settled } = build(() => new Promise(() => {}), 2);
  for (const subject of ["a", "b", "c", "d"]) delivery.push({ subject, body: subject });
  expect(settled).toEqual(["b dropped", "c dropped"]);
  expect(delivery.pending().map(({ subject }) => subject)).toEqual(["a", "d"]);
});

it("keeps what is left when it closes", async () => {
  const { delivery, pauses } = build(async () => {
    throw new Error("answered 503");
  });
  delivery.push({ subject: "a", body: 1 });
  await until("an attempt", () => pauses.length === 1);
  await delivery.close(100);
  expect(delivery.pending()).toHaveLength(1);
});
