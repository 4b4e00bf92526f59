"""Every error is JSON: ``{"error": {"code": ..., "message": ...}}``, the same in both services."""

import logging
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, JsonResponse
from django.utils.deprecation import MiddlewareMixin

from shop.parameters import BadParameter

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1


class MethodNotAllowed(Exception):
    """The path exists, but not for this method: the client gets a 405 naming those that work."""


def allow(request: HttpRequest, *methods: str) -> None:
    """
    Let the methods pass, and HEAD wherever GET may.

    Raises:
        MethodNotAllowed: The request uses another method.
    """
    if request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
        raise MethodNotAllowed(", ".join(methods))


def reply(status: int, code: str, message: str) -> JsonResponse:
    """Return an error response."""
    response = JsonResponse({"error": {"code": code, "message": message}}, status=status)
    if status == 503:
        response["Retry-After"] = str(RETRY_AFTER_S)
    return response


class ErrorReplies(MiddlewareMixin):
    """Turn what a view raises into a reply; under ASGI it costs a thread hop only on an error."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> JsonResponse | None:
        if isinstance(exception, BadParameter):
            return reply(400, "LAB_BAD_PARAMETER", str(exception))
        if isinstance(exception, MethodNotAllowed):
            response = reply(405, "LAB_METHOD_NOT_ALLOWED", f"Use {exception}.")
            response["Allow"] = str(exception)
            return response
        if isinstance(exception, RequestDataTooBig):
            return reply(413, "LAB_BODY_TOO_LARGE", "The body is over the limit.")
        if isinstance(exception, (DatabaseError, InterfaceError)):
            logger.error("database unavailable: %s", exception)
            return reply(503, "LAB_DATABASE_UNAVAILABLE", "The database did not answer.")
        return None


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    return reply(400, "LAB_BAD_REQUEST", "The request could not be read.")


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return reply(404, "LAB_NOT_FOUND", "No such path.")


def server_error(request: HttpRequest, *args: Any) -> JsonResponse:
    return reply(500, "LAB_INTERNAL", "The service failed; its log says why.")
