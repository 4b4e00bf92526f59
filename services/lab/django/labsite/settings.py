"""
Settings of the demo's Django service.

Environment:
    LAB_DATABASE_URL: The bookshop, ``postgresql://user:password@host:port/name``.
    LAB_EVENTS_DATABASE_URL: The second database, same form.
    LAB_POOL_TIMEOUT: Seconds a request waits for a database connection before a 503. Default 5.
    LAB_ALLOWED_HOSTS: Comma list of further host names. Loopback is always allowed.
    LAB_WITHOUT_AGENT: 1 starts the service without Tidemark's agent, for a bare benchmark.
"""

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
ASSETS_DIR = BASE_DIR.parent / "assets"

POOL_MAX_SIZE = 4
CONNECT_TIMEOUT_S = 3


def postgres_from_url(variable: str) -> dict[str, Any]:
    """
    Return the ``DATABASES`` entry for the URL in an environment variable.

    Raises:
        ImproperlyConfigured: The variable is missing or is not a PostgreSQL URL.
    """
    value = os.environ.get(variable, "")
    parts = urlsplit(value)
    if parts.scheme not in ("postgres", "postgresql") or not parts.path.strip("/"):
        # The value may hold a password, so it is not repeated here.
        raise ImproperlyConfigured(
            f"{variable} must be a URL like postgresql://user:password@127.0.0.1:5432/name"
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "OPTIONS": {
            **dict(parse_qsl(parts.query)),
            "connect_timeout": CONNECT_TIMEOUT_S,
            "pool": {
                "min_size": 1,
                "max_size": POOL_MAX_SIZE,
                "timeout": float(os.environ.get("LAB_POOL_TIMEOUT", "5")),
            },
        },
    }


# Nothing here is signed across restarts, so a key that lives as long as the process is enough.
SECRET_KEY = os.environ.get("LAB_SECRET_KEY") or secrets.token_urlsafe(50)
DEBUG = False
ALLOWED_HOSTS = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    *filter(None, os.environ.get("LAB_ALLOWED_HOSTS", "").split(",")),
]
USE_TZ = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 4096
ROOT_URLCONF = "labsite.urls"
WSGI_APPLICATION = "labsite.wsgi.application"
ASGI_APPLICATION = "labsite.asgi.application"
APPEND_SLASH = False

INSTALLED_APPS = ["channels", "shop"]
if os.environ.get("LAB_WITHOUT_AGENT") != "1":
    INSTALLED_APPS += ["tidemark_django"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "shop.errors.ErrorReplies",
]

DATABASES = {
    "default": postgres_from_url("LAB_DATABASE_URL"),
    "events": postgres_from_url("LAB_EVENTS_DATABASE_URL"),
}
DATABASE_ROUTERS = ["shop.routers.EventsRouter"]

# Several processes share both through Redis; one process needs none.
REDIS_URL = os.environ.get("LAB_REDIS_URL")
CACHES: dict[str, dict[str, object]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
CHANNEL_LAYERS: dict[str, dict[str, object]] = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}
if REDIS_URL:
    CACHES["default"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
    }
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

# Every 4xx and 5xx of the load story would be a line; the client counts them instead.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {
        "django.request": {"level": "CRITICAL"},
        # The pool repeats one warning per second while the database is away; the 503 says it.
        "psycopg.pool": {"level": "ERROR"},
    },
}
