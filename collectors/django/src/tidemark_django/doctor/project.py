"""A project with known waits. Copied to a folder of its own: the agent does not look for culprits in its package."""

import time

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

SLEEP_S = 0.2
REPEATS = 7


def sleep(request: HttpRequest) -> HttpResponse:
    """Answers when it began and ended, which on a busy machine is later than it asks for."""
    begun = time.perf_counter()
    time.sleep(SLEEP_S)
    return HttpResponse(f"{begun} {time.perf_counter()}")


def repeat(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        for number in range(REPEATS):
            cursor.execute("SELECT %s AS value", [number])
    return HttpResponse("repeated")


urlpatterns = [path("sleep/", sleep), path("repeat/", repeat)]


def make_application() -> WSGIHandler:
    """The WSGI application, for ``gunicorn 'doctor_project:make_application()'``."""
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["tidemark_django"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="not a secret: nothing is signed",
    )
    return get_wsgi_application()
