import { describe, expect, it } from "vitest";
import { InFlight } from "../src/main/in-flight.ts";

interface Item {
  place: number;
  startMs: number;
  readonly route: string | undefined;
}
const item = (startMs: number, route?: string): Item => ({ place: 0, startMs, route });
const teller = {
  isExcepted: ({ route }: Item) => route === "/culprit",
  route: ({ route }: Item) => route,
  rest: () => ({ method: "GET", traceId: undefined }),
};

describe("the requests in flight", () => {
  it("are those that were added and not removed, in whatever order they end", () => {
    const list = new InFlight<Item>();
    const items = Array.from({ length: 50 }, (_, index) => item(index));
    for (const added of items) list.add(added);
    const open = new Set(items);
    for (const index of [0, 49, 7, 7 + 1, 30, 2, 48]) {
      list.remove(items[index]!);
      open.delete(items[index]!);
    }
    const { startsMs } = list.describe(0, teller);
    expect([...startsMs].sort((a, b) => a - b)).toEqual([...open].map(({ startMs }) => startMs));
  });

  it("are told without the culprit, by route, with the oldest first", () => {
    const list = new InFlight<Item>();
    for (let index = 0; index < 20; index++) list.add(item((index * 7) % 20, index % 2 === 0 ? "/a" : undefined));
    list.add(item(0, "/culprit"));
    const told = list.describe(1000, teller);
    expect(told.count).toBe(20);
    expect(told.routes).toEqual(["/a", null]);
    expect(told.routeIndexes).toEqual(Array.from({ length: 20 }, (_, index) => index % 2));
    expect(told.oldest.map(({ startMs }) => startMs)).toEqual(Array.from({ length: 10 }, (_, index) => 1000 + index));
  });

  it("are listed up to five hundred, and counted beyond", () => {
    const list = new InFlight<Item>();
    for (let index = 0; index < 700; index++) list.add(item(index));
    const told = list.describe(0, teller);
    expect(told.startsMs).toHaveLength(500);
    expect(told.count).toBe(700);
  });
});
