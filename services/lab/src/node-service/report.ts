import { createHash } from "node:crypto";

/** The same as in `django/shop/report.py`, which says how they were chosen. */
const SEAL_ROUNDS = 8;
const RANK_WINDOW = 300;
const BEST_AUTHORS = 10;

export interface OrderLine {
  id: number;
  quantity: number;
  price_cents: number;
  author_id: number;
}

/**
 * Sums the revenue by author, ranks each order in its time, and seals the ledger: all of it on the event loop.
 *
 * The rank of an order is the number of larger ones among the `RANK_WINDOW` before it; the seal is a chain of
 * SHA-256 digests over all lines.
 */
export function salesReport(orders: OrderLine[]) {
  const revenueByAuthor = new Map<number, number>();
  let seal: Buffer = Buffer.alloc(0);
  const totals: number[] = [];
  let rankSum = 0;
  for (const { id, quantity, price_cents, author_id } of orders) {
    const total = quantity * price_cents;
    revenueByAuthor.set(author_id, (revenueByAuthor.get(author_id) ?? 0) + total);
    for (let earlier = Math.max(0, totals.length - RANK_WINDOW); earlier < totals.length; earlier++) {
      if ((totals[earlier] as number) > total) rankSum++;
    }
    totals.push(total);
    seal = createHash("sha256").update(seal).update(`${id};${author_id};${quantity};${total}`).digest();
    for (let round = 1; round < SEAL_ROUNDS; round++) seal = createHash("sha256").update(seal).digest();
  }
  const best = [...revenueByAuthor].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, BEST_AUTHORS);
  return {
    orders: totals.length,
    revenue_cents: totals.reduce((sum, total) => sum + total, 0),
    mean_rank: Math.floor(rankSum / Math.max(1, totals.length)),
    best_authors: best.map(([author_id, cents]) => ({ author_id, revenue_cents: cents })),
    seal: seal.toString("hex"),
  };
}
