import json

import psycopg
import pytest

from tests.serving import gunicorn, running
from tests.sink import Sink, mean, until

GTHREAD = gunicorn("--worker-class", "gthread", "--threads", "4")

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


@pytest.mark.measured
def test_a_transaction_is_idle_from_its_first_statement_on_while_none_runs(sink: Sink, postgres: str) -> None:
    with running(GTHREAD, sink, TEST_POSTGRES=postgres, TEST_CONN_MAX_AGE="0") as server:
        truth = [json.loads(server.get("/transaction/200/300/")[1]) for _ in range(3)]
        server.stop()
    route = {"http__route": "/transaction/<int:held>/<int:idle>/"}
    durations = sink.points("tidemark.db.transaction.duration", **route)
    idle = sink.points("tidemark.db.transaction.idle_time", **route)
    # The savepoint is part of the transaction, not one of its own; what came before the first statement is not.
    assert sum(point.count for point in durations) == sum(point.count for point in idle) == 3
    assert mean(durations) == pytest.approx(sum(whole for whole, _ in truth) / 3, rel=0.05)
    assert mean(idle) == pytest.approx(sum(waited for _, waited in truth) / 3, rel=0.1)


@pytest.mark.parametrize("age", ["0", "600"])
def test_connections_that_stay_open_between_requests_are_counted(sink: Sink, postgres: str, age: str) -> None:
    def idle() -> float:
        """The newest count."""
        points = sink.points("db.client.connection.count", db__client__connection__state="idle")
        return max(points, key=lambda point: point.time_ns).value if points else -1

    with running(GTHREAD, sink, TEST_POSTGRES=postgres, TEST_CONN_MAX_AGE=age) as server:
        server.hammer("/connect/100/", clients=4, rounds=1)
        with psycopg.connect(postgres) as other:
            truth = other.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
        assert truth is not None
        assert (truth[0] > 0) == (age == "600")
        until(lambda: idle() == truth[0])
        server.stop()
