import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from django.core.cache import cache
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render

from tests.project.library.models import Author, Book, Cover, Note, Tag

MS = 1e-3
SLEEP = {"postgresql": "SELECT pg_sleep(%s)", "mysql": "SELECT SLEEP(%s)"}
"""A statement that takes a number of seconds."""


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def pid(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(os.getpid()))


def sleep(request: HttpRequest, milliseconds: int) -> HttpResponse:
    time.sleep(milliseconds * MS)
    return HttpResponse("slept")


async def async_sleep(request: HttpRequest, milliseconds: int) -> HttpResponse:
    await asyncio.sleep(milliseconds * MS)
    return HttpResponse("slept")


async def block(request: HttpRequest, milliseconds: int) -> HttpResponse:
    time.sleep(milliseconds * MS)
    return HttpResponse("blocked")


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def burn(request: HttpRequest, milliseconds: int) -> HttpResponse:
    spin(milliseconds * MS)
    return HttpResponse("burnt")


def stuck(request: HttpRequest, reason: str, secret: str) -> HttpResponse:
    """Stands still for 0.5 s for a reason."""
    local = f"the-local {secret}"
    if reason == "io":
        ours, theirs = socket.socketpair()
        ours.settimeout(0.5)
        with ours, theirs, suppress(TimeoutError):
            ours.recv(1)
    elif reason == "lock":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire(timeout=0.5)
    elif reason == "sleep":
        time.sleep(0.5)
    else:
        spin(0.5)
    return HttpResponse(local)


def burners(request: HttpRequest, count: int) -> HttpResponse:
    for _ in range(count):
        threading.Thread(target=spin, args=(600,), daemon=True).start()
    return HttpResponse("burning")


def books(request: HttpRequest) -> JsonResponse:
    return JsonResponse({book.title: book.author.name for book in Book.objects.all()})


def authors(request: HttpRequest) -> JsonResponse:
    titles: dict[str, list[str]] = {}
    for author in Author.objects.all():
        written: Any = author
        titles[author.name] = [book.title for book in written.book_set.all()]
    return JsonResponse(titles)


REPEATS: dict[str, Callable[[], Any]] = {
    "reverse-one-to-one": lambda: [book.cover.pk for book in Book.objects.all()],  # type: ignore
    "one-to-one": lambda: [cover.book.title for cover in Cover.objects.all()],
    "many-to-many": lambda: [list(book.tags.all()) for book in Book.objects.all()],
    "many-to-many-back": lambda: [list(tag.book_set.all()) for tag in Tag.objects.all()],  # type: ignore
    "filtered": lambda: [list(author.book_set.filter(title="x")) for author in Author.objects.all()],  # type: ignore
    "count": lambda: [author.book_set.count() for author in Author.objects.all()],  # type: ignore
    "deferred": lambda: [book.title for book in Book.objects.defer("title")],
    "generic": lambda: [note.subject.title for note in Note.objects.all()],  # type: ignore
    "by-key": lambda: [Book.objects.get(pk=number) for number in range(1, 21)],
}


def repeats(request: HttpRequest, kind: str) -> HttpResponse:
    REPEATS[kind]()
    return HttpResponse("ok")


def in_transaction(request: HttpRequest, held: int, idle: int) -> HttpResponse:
    """
    A transaction whose one statement takes *held* ms and which then waits *idle* ms for something else.

    Answers with the seconds from the statement to the commit's end, and of the wait.
    """
    with transaction.atomic():
        time.sleep(0.05)  # nothing is locked before the first statement
        start = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(SLEEP[connection.vendor], [held * MS])
        waits = time.perf_counter()
        time.sleep(idle * MS)
        waited = time.perf_counter() - waits
        with transaction.atomic():
            Author.objects.none().count()
    return JsonResponse([time.perf_counter() - start, waited], safe=False)


def rolled_back(request: HttpRequest) -> HttpResponse:
    with suppress(RuntimeError), transaction.atomic():
        Author.objects.count()
        time.sleep(0.1)
        raise RuntimeError("on purpose")
    return HttpResponse("rolled back")


def connect(request: HttpRequest, milliseconds: int) -> HttpResponse:
    """Seconds this request waited for its connection, by its own clock; then it keeps the connection for a while."""
    start = time.perf_counter()
    connection.ensure_connection()
    waited = time.perf_counter() - start
    with connection.cursor() as cursor:
        cursor.execute(SLEEP[connection.vendor], [milliseconds * MS])
    return HttpResponse(str(waited))


def five(request: HttpRequest) -> HttpResponse:
    return HttpResponse("".join(Book.objects.get(pk=number).title for number in range(1, 6)))


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html", {"books": Book.objects.filter(id__in=[1, 2, 3])})


def fragments(request: HttpRequest, key: str) -> HttpResponse:
    """A page whose inner fragment takes 50 ms to render."""
    return render(request, "fragments.html", {"key": key, "slow": lambda: time.sleep(0.05) or ""})  # type: ignore


def jinja(request: HttpRequest) -> HttpResponse:
    """A page that takes 50 ms to render."""
    return render(request, "outer.jinja", {"slow": lambda: time.sleep(0.05) or ""}, using="jinja2")  # type: ignore


def cached(request: HttpRequest, key: str) -> HttpResponse:
    value = cache.get(key)
    if value is None:
        cache.set(key, "stored")
    return HttpResponse(value or "computed")


def cached_many(request: HttpRequest, keys: str) -> JsonResponse:
    return JsonResponse(cache.get_many(keys.split("-")))


def pg_sleep(request: HttpRequest, milliseconds: int) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute(SLEEP[connection.vendor], [milliseconds * MS])
    return HttpResponse("slept in the database")


def echo_body(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        for number in range(3):
            time.sleep(0.1)
            yield f"{number}\n"

    return StreamingHttpResponse(parts())


def item(request: HttpRequest, item: int) -> HttpResponse:
    return HttpResponse(str(item))


KEPT: list[bytearray] = []


def keep(request: HttpRequest, size: int) -> HttpResponse:
    """Never gives its memory back."""
    KEPT.append(bytearray(b"x" * size))
    return HttpResponse("kept")
