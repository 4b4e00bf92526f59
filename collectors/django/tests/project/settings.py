"""A small project to be watched. The environment chooses what it has."""

import os
from pathlib import Path
from urllib.parse import urlparse

SECRET_KEY = "only for tests"
DEBUG = os.environ.get("TEST_DEBUG") == "1"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = os.environ.get("TEST_URLCONF", "tests.project.urls")
ASGI_APPLICATION = "tests.project.asgi.application"
WSGI_APPLICATION = "tests.project.wsgi.application"
USE_TZ = True
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
if os.environ.get("TEST_MIDDLEWARE") == "1":
    MIDDLEWARE += ["tests.project.middleware.Outer", "tests.project.middleware.inner"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "tests.project.library", "tidemark_django"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": False,
    },
    {"BACKEND": "django.template.backends.jinja2.Jinja2", "DIRS": [Path(__file__).parent / "jinja2"]},
]
if redis := os.environ.get("TEST_REDIS"):
    CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [redis], "capacity": 3}}
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 3}}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if redis:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis}}
elif memcached := os.environ.get("TEST_MEMCACHED"):
    CACHES = {"default": {"BACKEND": os.environ["TEST_CACHE"], "LOCATION": memcached}}

DATABASES: dict[str, dict[str, object]] = {}
if sqlite := os.environ.get("TEST_SQLITE"):
    DATABASES["default"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": sqlite}
elif postgres := os.environ.get("TEST_POSTGRES"):
    url = urlparse(postgres)
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.lstrip("/"),
        "USER": url.username,
        "PASSWORD": url.password or "",
        "HOST": url.hostname,
        "PORT": url.port or 5432,
    }
    if "TEST_CONN_MAX_AGE" not in os.environ:
        timeout = float(os.environ.get("TEST_POOL_TIMEOUT", "30"))
        DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": 1, "max_size": 4, "timeout": timeout}}
elif mysql := os.environ.get("TEST_MYSQL"):
    if os.environ.get("TEST_MYSQL_DRIVER") != "MySQLdb":
        import pymysql

        pymysql.install_as_MySQLdb()
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "library",
        "USER": "root",
        "HOST": mysql,
    }
if DATABASES and "TEST_CONN_MAX_AGE" in os.environ:
    DATABASES["default"]["CONN_MAX_AGE"] = int(os.environ["TEST_CONN_MAX_AGE"])
