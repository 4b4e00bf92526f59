"""Middleware that takes a known time of its own, before and after what it wraps."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.db import connections
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware


class Outer:
    """30 ms of sleep and 50 ms in the database, which are not the middleware's own phase."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        time.sleep(0.03)
        if request.GET.get("query"):
            with connections["default"].cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.05)")
        return self.get_response(request)


@sync_and_async_middleware
def inner(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """20 ms after the view."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> Any:
            response = await get_response(request)
            await asyncio.sleep(0.02)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> Any:
        response = get_response(request)
        time.sleep(0.02)
        return response

    return synchronous
