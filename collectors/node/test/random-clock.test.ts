import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RandomClock } from "../src/worker/random-clock.ts";

describe("the clock that all probes share", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("keeps each rate, wakes as often as the most frequent, and leaves half to one and a half of the gap", () => {
    const wakes = vi.spyOn(globalThis, "setTimeout");
    const clock = new RandomClock(20, 10);
    const loop: number[] = [];
    const pool: number[] = [];
    const ticks: number[] = [];
    clock.atRandom(20, (nowMs) => loop.push(nowMs));
    clock.atRandom(10, (nowMs) => pool.push(nowMs));
    clock.every(250, (nowMs) => ticks.push(nowMs));
    vi.advanceTimersByTime(200_000);
    expect(loop.length / 200).toBeGreaterThan(19);
    expect(loop.length / 200).toBeLessThan(21);
    expect(pool.length / 200).toBeGreaterThan(9);
    expect(pool.length / 200).toBeLessThan(11);
    expect(ticks.length / 200).toBeCloseTo(4, 1);
    expect(wakes.mock.calls.length - loop.length).toBe(1);
    const moments = new Set(loop);
    for (const at of [...pool, ...ticks]) expect(moments.has(at)).toBe(true);
    const gaps = loop.slice(1).map((at, index) => at - loop[index]!);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(25);
    expect(Math.max(...gaps)).toBeLessThan(77);
  });

  it("lands in every part of work that comes at a fixed period", () => {
    const clock = new RandomClock(20, 10);
    const phases = new Array<number>(10).fill(0);
    clock.atRandom(10, (nowMs) => {
      phases[Math.floor((nowMs % 100) / 10)]! += 1;
    });
    vi.advanceTimersByTime(500_000);
    for (const count of phases) {
      expect(count).toBeGreaterThan(400);
      expect(count).toBeLessThan(600);
    }
  });

  it("keeps what has a period when its pace is half or none, and rarely wakes then", () => {
    const wakes = vi.spyOn(globalThis, "setTimeout");
    const clock = new RandomClock(20);
    let probes = 0;
    let ticks = 0;
    clock.atRandom(20, () => {
      probes += 1;
    });
    clock.every(250, () => {
      ticks += 1;
    });
    clock.pace = 0.5;
    vi.advanceTimersByTime(200_000);
    expect(probes / 200).toBeGreaterThan(9);
    expect(probes / 200).toBeLessThan(11);
    clock.pace = 0;
    [probes, ticks] = [0, 0];
    wakes.mockClear();
    vi.advanceTimersByTime(200_000);
    expect(probes).toBe(0);
    expect(ticks / 200).toBeGreaterThan(2.5);
    expect(wakes.mock.calls.length / 200).toBeLessThan(4.5);
  });
});
