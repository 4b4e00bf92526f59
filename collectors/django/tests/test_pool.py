import statistics

import pytest

from tests.serving import gunicorn, running
from tests.sink import Sink, mean, quantile


@pytest.mark.measured
def test_a_pool_shows_who_waits_for_a_connection(sink: Sink, postgres: str) -> None:
    command = gunicorn("--worker-class", "gthread", "--threads", "16")
    with running(command, sink, TEST_POSTGRES=postgres) as server:
        latencies = server.hammer("/pg-sleep/200/", clients=12, rounds=3)
        server.stop()
    pool = ("db_pool", "default")
    assert {point.value for point in sink.resource("capacity", *pool)} == {4}
    assert max(point.value for point in sink.resource("busy.max", *pool)) == 4
    # 8 once the pool has its four connections; all 12 while it opens them.
    assert 6 <= max(point.value for point in sink.resource("waiting.max", *pool)) <= 12
    assert sum(point.value for point in sink.resource("rejected", *pool)) == 0
    route = {"http__route": "/pg-sleep/<int:milliseconds>/"}
    waits = sink.resource("wait", *pool)
    assert sum(point.count for point in waits) == len(latencies)
    queries = sink.points("db.client.operation.duration", **route, db__query__text="SELECT pg_sleep(%s)")
    assert mean(queries) >= 0.2
    assert mean(waits) + mean(queries) == pytest.approx(sum(latencies) / len(latencies), rel=0.15)
    phase = sink.points("tidemark.http.server.phase.duration", **route, tidemark__phase="db_pool")
    assert mean(phase) == pytest.approx(mean(waits), rel=0.05)
    kinds = {point.attributes["tidemark.db.connect.kind"] for point in sink.points("db.client.connection.create_time")}
    assert kinds == {"pool_open", "pool_get"}
    named = {"db__client__connection__pool__name": "default"}
    assert sink.points("db.client.connection.max", **named)[-1].value == 4
    assert max(point.value for point in sink.points("db.client.connection.pending_requests", **named)) >= 1
    assert sum(point.count for point in sink.points("db.client.connection.wait_time", **named)) == len(latencies)


@pytest.mark.measured
def test_the_wait_for_a_connection_is_what_its_callers_measure(sink: Sink, postgres: str) -> None:
    command = gunicorn("--worker-class", "gthread", "--threads", "20")
    with running(command, sink, TEST_POSTGRES=postgres) as server:
        server.hammer("/connect/1/", clients=20, rounds=1)
        waits = server.hammer("/connect/100/", clients=20, rounds=8, take=lambda answer: float(answer[1]))
        server.stop()
    measured = sink.points("db.client.connection.wait_time", db__client__connection__pool__name="default")
    assert max(point.value for point in sink.resource("waiting.max", "db_pool", "default")) >= 12
    # The first round's 20 short waits, at one end, move the middle of 180 by less than the steps between them.
    assert quantile(measured, 0.5) == pytest.approx(statistics.median(waits), rel=0.1)
    used = sink.points("db.client.connection.use_time", db__client__connection__pool__name="default")
    assert sum(point.count for point in used) == sum(point.count for point in measured)
    # The 20 short uses at the beginning are part of the sum.
    assert 0.1 <= sum(point.value for point in used) / len(waits) < 0.2


def test_a_request_that_gives_up_on_the_pool_is_a_time_out(sink: Sink, postgres: str) -> None:
    command = gunicorn("--worker-class", "gthread", "--threads", "6")
    with running(command, sink, TEST_POSTGRES=postgres, TEST_POOL_TIMEOUT="0.2") as server:
        server.get("/connect/1/")
        answers = server.hammer("/connect/1000/", clients=6, rounds=1, take=lambda answer: float(answer[0]))
        server.stop()
    failed = sum(status == 500 for status in answers)
    assert failed >= 2
    pool = {"db__client__connection__pool__name": "default"}
    assert sum(point.value for point in sink.points("db.client.connection.timeouts", **pool)) == failed
    assert sum(point.value for point in sink.resource("rejected", "db_pool", "default")) == failed
