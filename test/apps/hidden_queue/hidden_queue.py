"""A Django project of one file: one view that sleeps, no database. Its URLs and its settings are this module."""

import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

SLEEP_SECONDS = 0.5


def sleep(request: HttpRequest) -> HttpResponse:
    time.sleep(SLEEP_SECONDS)
    return HttpResponse("slept")


def ready(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ready")


settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["tidemark_django"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for a test on the loopback",
    USE_TZ=True,
)

urlpatterns = [path("sleep", sleep), path("ready", ready)]
application = get_wsgi_application()
