import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

from tests import postgres as database_server
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


def make_library(path: str) -> str:
    """Fills a new SQLite file with 20 authors and a book of each; its path."""
    ids = range(1, 21)
    with sqlite3.connect(path) as connection:
        for table, columns, rows in (
            ("django_content_type", "app_label varchar(100), model varchar(100)", [(1, "library", "book")]),
            ("library_author", "name varchar(100)", [(id, f"name {id}") for id in ids]),
            ("library_book", "title varchar(100), author_id bigint", [(id, f"name {id}", id) for id in ids]),
            ("library_tag", "word varchar(100)", [(id, f"tag {id}") for id in ids]),
            ("library_book_tags", "book_id bigint, tag_id bigint", [(id, id, id) for id in ids]),
            ("library_cover", "book_id bigint", [(id, id) for id in ids]),
            ("library_note", "content_type_id bigint, object_id bigint", [(id, 1, id) for id in ids]),
        ):
            connection.execute(f"CREATE TABLE {table} (id integer PRIMARY KEY, {columns})")
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    return path


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
