import os
from collections.abc import Iterator
from pathlib import Path

import django
import pymysql
import pytest

from tests import mariadb as mariadb_server
from tests import memcached as memcached_server
from tests import postgres as database_server
from tests.books import fill, make_library
from tests.daemons import daemon_on_a_port, installed
from tests.memcached import Memcached
from tests.sink import Sink, serve
from tidemark_django import runtime
from tidemark_django.agent import Agent
from tidemark_django.config import Config
from tidemark_django.identity import Server

collect_ignore_glob = ["project/*"]
if django.VERSION < (5, 1):
    collect_ignore_glob.append("test_pool.py")  # OPTIONS["pool"] came with Django 5.1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Noise only adds to a figure: a measured test is tried up to three times."""
    for item in items:
        if item.get_closest_marker("measured"):
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture
def sink() -> Iterator[Sink]:
    """An ingest; at the end everything it received must agree with the registry."""
    iterator = serve()
    found = next(iterator)
    yield found
    next(iterator, None)
    assert found.problems == []


@pytest.fixture
def agent() -> Iterator[Agent]:
    """An agent without threads, installed as this process's."""
    runtime.agent = Agent(Config(endpoint="http://127.0.0.1:9"), Server("test"))
    yield runtime.agent
    runtime.agent = None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL database."""
    yield from database_server.serve()


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """Path of a database with 20 authors and a book of each."""
    return make_library(str(tmp_path / "library.sqlite3"))


@pytest.fixture
def redis() -> Iterator[str]:
    """URL of a new Redis server."""
    program = installed("redis-server")
    with daemon_on_a_port([program, "--port", "{port}", "--bind", "127.0.0.1", "--save", ""]) as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def memcached() -> Iterator[Memcached]:
    """A new memcached."""
    with memcached_server.serve() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """Socket of a MariaDB server whose database ``library`` is filled."""
    for address in mariadb_server.serve():
        with pymysql.connect(unix_socket=address, user="root", autocommit=True) as connection:
            cursor = connection.cursor()
            cursor.execute("CREATE DATABASE library")
            cursor.execute("USE library")
            fill(cursor, "%s")
        yield address


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
