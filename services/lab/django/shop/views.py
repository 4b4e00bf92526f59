"""
The demo's endpoints. Each has a twin with the same JSON in ``src/node-service``.

Bounds of the parameters are the same there; a value outside them is answered with a 400.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connections
from django.db.models import Count, Func, QuerySet, TextField, Value
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone

from shop.errors import allow
from shop.models import Author, Book, Event, Order
from shop.parameters import BadParameter, bounded_integer
from shop.report import sales_report

MS_PER_S = 1000
MAX_WAIT_MS = 5000
MAX_BOOKS = 100
MAX_OFFSET = 1900
MAX_ORDERS = 10_000
MAX_HASH_ROUNDS = 1_000_000
EVENT_KINDS = ("view", "search", "basket", "purchase")

# A demo value with a fixed salt, so that both services answer the same text.
DEMO_PASSWORD = "correct horse battery staple"
DEMO_SALT = "tidemark"


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer without touching anything."""
    allow(request, "GET")
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when both databases do, else a 503."""
    allow(request, "GET")
    for alias in ("default", "events"):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1")
    return JsonResponse({"status": "ready"})


def plain_json(request: HttpRequest) -> JsonResponse:
    """The no-work route: a small document, no database."""
    allow(request, "GET")
    shelves = [{"number": n, "label": f"shelf {n}", "open": True} for n in range(10)]
    return JsonResponse({"message": "Hello from the bookshop", "shelves": shelves})


def slow(request: HttpRequest) -> JsonResponse:
    """One query that spends ``ms`` in the database."""
    allow(request, "GET")
    ms = bounded_integer(request.GET, "ms", 300, 0, MAX_WAIT_MS)
    nap = Func(Value(ms / MS_PER_S), function="pg_sleep", output_field=TextField())
    author = Author.objects.annotate(nap=nap).get(pk=1)
    return JsonResponse({"ms": ms, "author": author.name})


def books(request: HttpRequest) -> JsonResponse:
    """A listing with the N+1 fault: one query for the books, one more per book for its author."""
    allow(request, "GET")
    return JsonResponse({"books": listed(slice_of(Book.objects.order_by("id"), request))})


def books_fixed(request: HttpRequest) -> JsonResponse:
    """The same listing in one query."""
    allow(request, "GET")
    joined = Book.objects.select_related("author").order_by("id")
    return JsonResponse({"books": listed(slice_of(joined, request))})


def report(request: HttpRequest) -> JsonResponse:
    """The sales report over the first ``n`` orders: work for the processor."""
    allow(request, "GET")
    n = bounded_integer(request.GET, "n", 1000, 1, MAX_ORDERS)
    rows = Order.objects.order_by("id").values_list(
        "id", "quantity", "book__price_cents", "book__author_id"
    )
    return JsonResponse(sales_report(rows[:n]))


def password_hash(request: HttpRequest) -> JsonResponse:
    """Hash a password the way Django stores one, with ``rounds`` iterations."""
    allow(request, "GET")
    rounds = bounded_integer(request.GET, "rounds", 100_000, 1, MAX_HASH_ROUNDS)
    encoded = PBKDF2PasswordHasher().encode(DEMO_PASSWORD, DEMO_SALT, iterations=rounds)
    return JsonResponse({"rounds": rounds, "hash": encoded})


def events(request: HttpRequest) -> JsonResponse:
    """The second database: POST stores one event, GET counts the stored ones by kind."""
    allow(request, "GET", "POST")
    if request.method == "POST":
        Event.objects.create(kind=event_kind(request.body), happened_at=timezone.now())
        return JsonResponse({"stored": True}, status=201)
    counts = Event.objects.values("kind").annotate(count=Count("id")).order_by("kind")
    return JsonResponse({"events": list(counts)})


async def asynchronous(request: HttpRequest) -> JsonResponse:
    """An async view: waits ``ms`` without holding a thread, then asks the database."""
    allow(request, "GET")
    ms = bounded_integer(request.GET, "ms", 50, 0, MAX_WAIT_MS)
    await asyncio.sleep(ms / MS_PER_S)
    return JsonResponse({"ms": ms, "books": await Book.objects.acount()})


def page(request: HttpRequest) -> HttpResponse:
    """A template page, queried and rendered each time."""
    allow(request, "GET")
    return render(request, "page.html", bestsellers(request))


def page_cached(request: HttpRequest) -> HttpResponse:
    """The same page with its list as a cached fragment: a hit neither queries nor renders it."""
    allow(request, "GET")
    return render(request, "page_cached.html", bestsellers(request))


def file(request: HttpRequest) -> HttpResponse:
    """A file, read from disk for each request."""
    allow(request, "GET")
    content = (settings.ASSETS_DIR / "cover.svg").read_bytes()
    return HttpResponse(content, content_type="image/svg+xml")


def slice_of(found: QuerySet[Book], request: HttpRequest) -> QuerySet[Book]:
    limit = bounded_integer(request.GET, "limit", 20, 1, MAX_BOOKS)
    offset = bounded_integer(request.GET, "offset", 0, 0, MAX_OFFSET)
    return found[offset : offset + limit]


def listed(found: Iterable[Book]) -> list[dict[str, Any]]:
    return [
        {
            "id": book.id,
            "title": book.title,
            "price_cents": book.price_cents,
            "author": book.author.name,
        }
        for book in found
    ]


def bestsellers(request: HttpRequest) -> dict[str, Any]:
    limit = bounded_integer(request.GET, "limit", 50, 1, MAX_BOOKS)
    # Not evaluated here: only the template that needs the rows runs the query.
    best = Book.objects.select_related("author").order_by("-price_cents", "id")[:limit]
    return {"limit": limit, "books": best}


def event_kind(body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        raise BadParameter('the body must be JSON like {"kind": "view"}') from None
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in EVENT_KINDS:
        raise BadParameter(f"kind must be one of {', '.join(EVENT_KINDS)}")
    return kind
