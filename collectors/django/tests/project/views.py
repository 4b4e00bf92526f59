import asyncio
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render

from tests.project.library.models import Author, Book

MS = 1e-3


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


def five(request: HttpRequest) -> HttpResponse:
    return HttpResponse("".join(Book.objects.get(pk=number).title for number in range(1, 6)))


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html", {"books": Book.objects.filter(id__in=[1, 2, 3])})


def cached(request: HttpRequest, key: str) -> HttpResponse:
    value = cache.get(key)
    if value is None:
        cache.set(key, "stored")
    return HttpResponse(value or "computed")


def pg_sleep(request: HttpRequest, milliseconds: int) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [milliseconds * MS])
    return HttpResponse("slept in the database")


def echo_body(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        for number in range(3):
            time.sleep(0.1)
            yield f"{number}\n"

    return StreamingHttpResponse(parts())
