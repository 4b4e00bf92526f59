"""The library of the test project, on whatever database. Without pytest, as the benches use it too."""

import sqlite3
from typing import Any

IDS = range(1, 21)
LIBRARY: tuple[tuple[str, str, list[tuple[object, ...]]], ...] = (
    ("django_content_type", "app_label varchar(100), model varchar(100)", [(1, "library", "book")]),
    ("library_author", "name varchar(100)", [(id, f"name {id}") for id in IDS]),
    ("library_book", "title varchar(100), author_id bigint", [(id, f"name {id}", id) for id in IDS]),
    ("library_tag", "word varchar(100)", [(id, f"tag {id}") for id in IDS]),
    ("library_book_tags", "book_id bigint, tag_id bigint", [(id, id, id) for id in IDS]),
    ("library_cover", "book_id bigint", [(id, id) for id in IDS]),
    ("library_note", "content_type_id bigint, object_id bigint", [(id, 1, id) for id in IDS]),
)
"""Tables of the test project: 20 authors and a book of each."""


def fill(cursor: Any, placeholder: str) -> None:
    """Makes the library in an empty database."""
    for table, columns, rows in LIBRARY:
        cursor.execute(f"CREATE TABLE {table} (id integer PRIMARY KEY, {columns})")
        cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join([placeholder] * len(rows[0]))})", rows)


def make_library(path: str) -> str:
    """Fills a new SQLite file with the library; its path."""
    with sqlite3.connect(path) as connection:
        fill(connection, "?")
    return path
