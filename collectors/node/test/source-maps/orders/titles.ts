import type { Pool } from "pg";

export interface Order {
  readonly book: number;
}

type Count = number;

/** One statement for each order: that of line 13 is what is repeated. */
export async function titlesOf(orders: readonly Order[], pool: Pool): Promise<Count> {
  let titles: Count = 0;
  for (const { book } of orders) {
    const { rowCount } = await pool.query(`SELECT title FROM books WHERE id = ${book}`);
    titles += rowCount ?? 0;
  }
  return titles;
}
