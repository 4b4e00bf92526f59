"""The sales report: work for the processor, the same in both services."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

# Rounds per order line. Chosen so that 10,000 orders hold the interpreter lock, and in the other
# service the event loop, for a few tenths of a second: most of it is hashing, in native code in
# both runtimes, so neither is asked for more work than the other.
SEAL_ROUNDS = 8
BEST_AUTHORS = 10


def sales_report(orders: Iterable[tuple[int, int, int, int]]) -> dict[str, Any]:
    """
    Sum the revenue by author and seal the ledger with a chain of SHA-256 digests.

    Args:
        orders: Rows of order id, quantity, price in cents, author id.
    """
    revenue_by_author: dict[int, int] = defaultdict(int)
    seal = b""
    count = revenue = 0
    for order_id, quantity, price_cents, author_id in orders:
        total = quantity * price_cents
        revenue_by_author[author_id] += total
        revenue += total
        count += 1
        seal = hashlib.sha256(seal + f"{order_id};{author_id};{quantity};{total}".encode()).digest()
        for _ in range(SEAL_ROUNDS - 1):
            seal = hashlib.sha256(seal).digest()
    best = sorted(revenue_by_author.items(), key=lambda entry: (-entry[1], entry[0]))[:BEST_AUTHORS]
    return {
        "orders": count,
        "revenue_cents": revenue,
        "best_authors": [
            {"author_id": author_id, "revenue_cents": cents} for author_id, cents in best
        ],
        "seal": seal.hex(),
    }
