import json
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pymysql
import pytest

from tests.mariadb import MAX_CONNECTIONS
from tests.serving import gunicorn, running
from tests.sink import Sink, mean, until

GTHREAD = gunicorn("--worker-class", "gthread", "--threads", "4")

SLEEPS = {"postgresql": "SELECT pg_sleep(%s)", "mysql": "SELECT SLEEP(%s)"}
FIXES = {
    "reverse-one-to-one": ("Book.cover", 'select_related("cover") fetches it in the first query'),
    "one-to-one": ("Cover.book", 'select_related("book") fetches it in the first query'),
    "many-to-many": ("Book.tags", 'prefetch_related("tags") fetches all in one more query'),
    "many-to-many-back": ("Tag.book_set", 'prefetch_related("book_set") fetches all in one more query'),
    "filtered": (
        "Author.book_set",
        'prefetch_related(Prefetch("book_set", queryset=...)) fetches all in one more query',
    ),
    "count": ("Author.book_set", 'annotate(Count("book")) asks in the first query'),
    "deferred": ("Book.title", 'defer() or only() left "title" out: fetch it in the first query'),
    "generic": ("Note.subject", 'prefetch_related("subject") fetches it in one query per model'),
    "by-key": (None, "Book.objects.in_bulk(keys) or filter(pk__in=keys) fetches all in one query"),
}


def test_every_kind_of_repeat_names_its_relation_and_the_call_that_saves_it(sink: Sink, sqlite: str) -> None:
    with running(GTHREAD, sink, TEST_SQLITE=sqlite, TIDEMARK_EXPORT_INTERVAL="30") as server:
        for kind in FIXES:
            assert server.get(f"/repeats/{kind}/")[0] == 200
        server.stop()
    events = sink.events("tidemark.db.n_plus_one")
    told = {
        event["http.route"].split("/")[2]: (event.get("tidemark.db.relation"), event.get("tidemark.db.fix"))
        for event in events
    }
    assert told == FIXES
    assert {event["tidemark.db.repeats"] for event in events} == {20}
    assert all(0 < event["tidemark.db.repeats.time"] < 1 for event in events)


@pytest.mark.measured
def test_a_transaction_shows_how_long_it_holds_its_locks_and_how_long_for_nothing(sink: Sink, sqlite: str) -> None:
    with running(GTHREAD, sink, TEST_SQLITE=sqlite) as server:
        server.get("/rolled-back/")
        server.stop()
    route = {"http__route": "/rolled-back/", "tidemark__db__alias": "default", "db__system__name": "sqlite"}
    durations = sink.points("tidemark.db.transaction.duration", **route)
    assert sum(point.count for point in durations) == 1
    assert 0.1 <= mean(durations) < 0.2
    assert 0.1 <= mean(sink.points("tidemark.db.transaction.idle_time", **route)) <= mean(durations)


@dataclass(frozen=True)
class Database:
    """A real server, the environment that has the test project use it, and its own count of other connections."""

    system: str
    environment: dict[str, str]
    others: Callable[[], int]


def postgres_database(request: pytest.FixtureRequest) -> Database:
    url = request.getfixturevalue("postgres")

    def others() -> int:
        question = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with psycopg.connect(url) as connection:
            row = connection.execute(question).fetchone()
        assert row is not None
        return int(row[0])

    return Database("postgresql", {"TEST_POSTGRES": url}, others)


def mysql_database(request: pytest.FixtureRequest) -> Database:
    address = request.getfixturevalue("mariadb")

    def others() -> int:
        with pymysql.connect(unix_socket=address, user="root") as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT count(*) FROM information_schema.processlist WHERE db = 'library'")
            row = cursor.fetchone()
        assert row is not None
        return int(row[0])

    return Database("mysql", {"TEST_MYSQL": address}, others)


@pytest.fixture(params=[postgres_database, mysql_database], ids=["postgresql", "mysql"])
def database(request: pytest.FixtureRequest) -> Database:
    """PostgreSQL, and MySQL's protocol and dialect by MariaDB."""
    found: Database = request.param(request)
    return found


@pytest.mark.measured
def test_a_transaction_is_idle_from_its_first_statement_on_while_none_runs(sink: Sink, database: Database) -> None:
    with running(GTHREAD, sink, **database.environment, TEST_CONN_MAX_AGE="0") as server:
        truth = [json.loads(server.get("/transaction/200/300/")[1]) for _ in range(3)]
        server.stop()
    route = {"http__route": "/transaction/<int:held>/<int:idle>/", "db__system__name": database.system}
    durations = sink.points("tidemark.db.transaction.duration", **route)
    idle = sink.points("tidemark.db.transaction.idle_time", **route)
    # The savepoint is part of the transaction, not one of its own; what came before the first statement is not.
    assert sum(point.count for point in durations) == sum(point.count for point in idle) == 3
    assert mean(durations) == pytest.approx(sum(whole for whole, _ in truth) / 3, rel=0.05)
    assert mean(idle) == pytest.approx(sum(waited for _, waited in truth) / 3, rel=0.1)
    slept = sink.points("db.client.operation.duration", **route, db__query__text=SLEEPS[database.system])
    assert sum(point.count for point in slept) == 3
    assert mean(slept) == pytest.approx(sum(whole - waited for whole, waited in truth) / 3, rel=0.1)
    # A connection for each request, opened before its transaction.
    opened = sink.points("db.client.connection.create_time", tidemark__db__connect__kind="connect")
    assert {point.attributes["db.system.name"] for point in opened} == {database.system}
    assert sum(point.count for point in opened) == 3


@pytest.mark.parametrize("age", ["0", "600"])
def test_connections_that_stay_open_between_requests_are_counted(sink: Sink, database: Database, age: str) -> None:
    def idle() -> float:
        """The newest count."""
        points = sink.points("db.client.connection.count", db__client__connection__state="idle")
        return max(points, key=lambda point: point.time_ns).value if points else -1

    with running(GTHREAD, sink, **database.environment, TEST_CONN_MAX_AGE=age) as server:
        server.hammer("/connect/100/", clients=4, rounds=1)
        truth = database.others()
        assert (truth > 0) == (age == "600")
        until(lambda: idle() == truth)
        server.stop()


@pytest.mark.parametrize("driver", ["pymysql", pytest.param("MySQLdb", marks=pytest.mark.wide)])
def test_mysql_shows_statements_rows_repeats_and_how_many_connections_it_allows(
    sink: Sink, mariadb: str, driver: str
) -> None:
    pytest.importorskip(driver)
    threads = MAX_CONNECTIONS + 1
    command = gunicorn("--worker-class", "gthread", "--threads", str(threads))
    environment = {"TEST_MYSQL": mariadb, "TEST_MYSQL_DRIVER": driver, "TEST_CONN_MAX_AGE": "0"}
    with running(command, sink, **environment) as server:
        for _ in range(2):
            assert server.get("/books/")[0] == 200
        server.get("/rolled-back/")
        until(lambda: sink.points("tidemark.finding", tidemark__finding__id="tidemark.W008"))
        server.stop()
    route = {"http__route": "/books/", "db__system__name": "mysql"}
    runs = sink.points("db.client.operation.duration", **route, db__query__summary="SELECT library_author")
    assert sum(point.count for point in runs) == 40
    assert {point.attributes["db.query.text"] for point in runs} == {
        "SELECT `library_author`.`id`, `library_author`.`name` FROM `library_author` "
        "WHERE `library_author`.`id` = %s LIMIT ?"
    }
    assert {point.attributes["db.namespace"] for point in runs} == {"library"}
    (event,) = {event["tidemark.db.fix"] for event in sink.events("tidemark.db.n_plus_one")}
    assert event.startswith('select_related("author")')
    # Each page: 20 books in one answer, and an author in each of 20; Django's own questions have an answer of one row.
    rows = sink.points("db.client.response.returned_rows", db__system__name="mysql")
    own = sink.points("db.client.operation.duration", db__system__name="mysql", db__operation__name="SELECT")
    selects = sum(point.count for point in own)
    assert sum(point.count for point in rows) == selects
    assert sum(point.value for point in rows) == 2 * 19 + selects
    rolled_back = sink.points("tidemark.db.transaction.duration", db__system__name="mysql")
    assert sum(point.count for point in rolled_back) == 1
    assert not sink.points("tidemark.agent.errors")
