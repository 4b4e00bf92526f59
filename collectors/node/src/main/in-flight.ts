import type { RequestInFlight, RequestsInFlight } from "../shared/description.ts";

const MAX_LISTED = 500;
const MAX_TOLD = 10;
const TENTHS = 10;

/** What has a place in the list while it is in flight. Times on `performance.now()`'s clock. */
export interface Placed {
  place: number;
  startMs: number;
}

/** What is asked about single items. */
export interface Teller<Item> {
  isExcepted(item: Item): boolean;
  route(item: Item): string | undefined;
  rest(item: Item): Omit<RequestInFlight, "startMs" | "route">;
}

/** Everything in flight, in no order: two writes to add or to remove, and it can be looked through at any moment. */
export class InFlight<Item extends Placed> {
  readonly #items: Item[] = [];

  add(item: Item): void {
    item.place = this.#items.length;
    this.#items.push(item);
  }

  remove(item: Item): void {
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#items[item.place] = last;
    last.place = item.place;
  }

  /** What is in flight, with `originMs` added to each time. */
  describe(originMs: number, teller: Teller<Item>): RequestsInFlight {
    const startsMs: number[] = [];
    const routeIndexes: number[] = [];
    const routes = new Map<string | undefined, number>();
    const oldest: Item[] = [];
    let count = 0;
    for (const item of this.#items) {
      if (teller.isExcepted(item)) continue;
      count += 1;
      keepOldest(oldest, item);
      if (startsMs.length === MAX_LISTED) continue;
      startsMs.push(Math.round((item.startMs + originMs) * TENTHS) / TENTHS);
      const route = teller.route(item);
      let index = routes.get(route);
      if (index === undefined) {
        index = routes.size;
        routes.set(route, index);
      }
      routeIndexes.push(index);
    }
    return {
      count,
      startsMs,
      routeIndexes,
      routes: [...routes.keys()].map((route) => route ?? null),
      oldest: oldest.map((item) => ({
        ...teller.rest(item),
        route: teller.route(item),
        startMs: item.startMs + originMs,
      })),
    };
  }
}

function keepOldest(oldest: Placed[], item: Placed): void {
  if (oldest.length === MAX_TOLD) {
    if (item.startMs >= oldest[MAX_TOLD - 1]!.startMs) return;
    oldest.pop();
  }
  const after = oldest.findIndex(({ startMs }) => startMs > item.startMs);
  oldest.splice(after < 0 ? oldest.length : after, 0, item);
}
