import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

from tests.sink import Sink, serve

collect_ignore_glob = ["project/*"]
if django.VERSION < (5, 1):
    collect_ignore_glob.append("test_pool.py")  # OPTIONS["pool"] came with Django 5.1


@pytest.fixture
def sink() -> Iterator[Sink]:
    """An ingest; at the end everything it received must agree with the registry."""
    iterator = serve()
    found = next(iterator)
    yield found
    next(iterator, None)
    assert found.problems == []


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """Path of a database with 20 authors and a book of each."""
    return make_library(str(tmp_path / "library.sqlite3"))


def make_library(path: str) -> str:
    """Fills a new SQLite file with 20 authors and a book of each; its path."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE library_author (id integer PRIMARY KEY, name varchar(100))")
        connection.execute(
            "CREATE TABLE library_book (id integer PRIMARY KEY, title varchar(100), author_id bigint NOT NULL)"
        )
        rows = [(number, f"name {number}") for number in range(1, 21)]
        connection.executemany("INSERT INTO library_author VALUES (?, ?)", rows)
        connection.executemany("INSERT INTO library_book VALUES (?, ?, ?)", [(*row, row[0]) for row in rows])
    return path


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
