import http.client
import re
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from tests.serving import gunicorn, running, uvicorn
from tests.sink import Sink, mean, until

GTHREAD = gunicorn("--worker-class", "gthread", "--threads", "4")
DURATION = "db.client.operation.duration"


@pytest.mark.parametrize("command", [GTHREAD, uvicorn()], ids=["wsgi", "asgi"])
def test_a_page_that_repeats_a_query_is_an_n_plus_one_event(sink: Sink, sqlite: str, command: list[str]) -> None:
    with running(command, sink, TEST_SQLITE=sqlite) as server:
        assert server.get("/books/")[0] == 200
        event = until(lambda: sink.events("tidemark.db.n_plus_one"))
        server.stop()
    assert len(event) == 1
    assert event[0]["http.route"] == "/books/"
    assert event[0]["db.query.summary"] == "SELECT library_author"
    assert event[0]["tidemark.db.relation"] == "Book.author"
    assert re.fullmatch(r"project/views\.py:\d+ books\.?.*", event[0]["tidemark.db.site"])
    assert sum(point.value for point in sink.points("tidemark.db.n_plus_one", http__route="/books/")) == 1
    assert mean(sink.points("tidemark.db.queries_per_request", http__route="/books/")) == 21
    runs = sink.points(DURATION, db__query__summary="SELECT library_author", http__route="/books/")
    assert sum(point.count for point in runs) == 20
    attributes = runs[0].attributes
    assert attributes["db.query.text"].endswith('WHERE "library_author"."id" = %s LIMIT ?')
    assert attributes["db.operation.name"] == "SELECT"
    assert attributes["db.system.name"] == "sqlite"
    assert attributes["tidemark.db.alias"] == "default"
    assert sink.points("db.client.connection.create_time", tidemark__db__connect__kind="connect")


def test_an_n_plus_one_says_what_it_costs_and_what_would_fetch_the_relation_beforehand(sink: Sink, sqlite: str) -> None:
    with running(GTHREAD, sink, TEST_SQLITE=sqlite) as server:
        for _ in range(10):
            server.get("/books/")
            server.get("/authors/")
        until(lambda: len(sink.events("tidemark.db.n_plus_one")) >= 2)
        server.stop()
    bodies = [record.body.string_value for _, record in sink.logs if record.event_name == "tidemark.db.n_plus_one"]
    line = r"SELECT {} ran 20 times \([\d.]+ ms of [\d.]+ ms\) at project/views\.py:\d+ .*: {}"
    forward = line.format("library_author", r'select_related\("author"\) .*')
    reverse = line.format("library_book", r'prefetch_related\("book_set"\) .*')
    assert all(re.fullmatch(forward, body) or re.fullmatch(reverse, body) for body in bodies)
    assert any(re.fullmatch(forward, body) for body in bodies)
    assert any(re.fullmatch(reverse, body) for body in bodies)
    # Every request counts; an event comes once per interval, not once per request.
    for route in ("/books/", "/authors/"):
        assert sum(point.value for point in sink.points("tidemark.db.n_plus_one", http__route=route)) == 10
    assert (
        sink.points("tidemark.db.n_plus_one", http__route="/authors/")[0].attributes["tidemark.db.relation"]
        == "Author.book_set"
    )


@pytest.mark.measured
def test_the_phases_of_a_request_add_up_to_its_duration(sink: Sink, sqlite: str) -> None:
    with running(GTHREAD, sink, TEST_SQLITE=sqlite, TIDEMARK_TRACES="0") as server:
        server.get("/page/")
        server.get("/cached/once/")
        # Of two in a row the processor time of at least one is measured.
        for _ in range(2):
            server.get("/sleep/200/")
        server.stop()
    for route in ("/page/", "/cached/<str:key>/", "/sleep/<int:milliseconds>/"):
        parts: dict[str, float] = defaultdict(float)
        # An export may end between two requests.
        for point in sink.points("tidemark.http.server.phase.duration", http__route=route):
            parts[point.attributes["tidemark.phase"]] += point.value
        whole = sum(point.value for point in sink.points("http.server.request.duration", http__route=route))
        assert sum(parts.values()) - parts["queue"] == pytest.approx(whole, rel=0.01)
        assert {"queue", "view", "send"} <= parts.keys()
        if route == "/page/":
            assert {"template", "db"} <= parts.keys()
        if route.startswith("/cached"):
            assert "cache" in parts
    assert sink.points("tidemark.http.server.cpu.duration", http__route="/sleep/<int:milliseconds>/")[0].value < 0.1
    assert sink.points("tidemark.template.render.duration", tidemark__template__name="page.html")[0].count == 1
    assert sink.spans == []


@pytest.mark.measured
def test_a_streamed_body_is_part_of_the_request(sink: Sink) -> None:
    with running(GTHREAD, sink) as server:
        server.get("/stream/")
        server.stop()
    assert mean(sink.points("http.server.request.duration", http__route="/stream/")) >= 0.3
    send = sink.points("tidemark.http.server.phase.duration", http__route="/stream/", tidemark__phase="send")
    assert mean(send) >= 0.29


# nginx, Heroku and Apache: seconds, milliseconds and microseconds.
STAMPS: tuple[Callable[[float], str], ...] = (
    lambda at: f"t={at:.3f}",
    lambda at: f"{at * 1e3:.0f}",
    lambda at: f"t={at * 1e6:.0f}",
)


@pytest.mark.measured
@pytest.mark.parametrize("command", [GTHREAD, uvicorn()], ids=["wsgi", "asgi"])
def test_a_proxy_stamp_is_kept_apart_from_the_wait_in_the_socket(sink: Sink, command: list[str]) -> None:
    metric, duration = "tidemark.http.server.queue.duration", "http.server.request.duration"
    with running(command, sink) as server:
        until(lambda: sink.points(metric))
        sink.metrics.clear()
        for stamp in STAMPS:
            server.get("/", headers={"X-Request-Start": stamp(time.time() - 2)})
            # A proxy whose clock is ahead says nothing.
            server.get("/", headers={"X-Request-Start": stamp(time.time() + 2)})
        until(lambda: sum(point.count for point in sink.points(duration)) >= 2 * len(STAMPS))
        server.stop()
    stamped = sink.points(metric, tidemark__queue__source="header")
    assert sum(point.count for point in stamped) == len(STAMPS)
    assert 2 <= mean(stamped) < 2.5
    socket = sink.points(metric, tidemark__queue__source="tcp_info")
    assert sum(point.count for point in socket) == 2 * len(STAMPS)
    assert mean(socket) < 0.5


@pytest.mark.measured
@pytest.mark.parametrize("body", [b"x" * 100_000, [b"x" * 100, b"x" * 100]], ids=["large", "chunked"])
def test_a_proxy_stamp_counts_alone_where_the_socket_does_not_tell(sink: Sink, body: Any) -> None:
    with running(GTHREAD, sink) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        headers = {"X-Request-Start": f"t={time.time() - 2:.3f}", "Connection": "close"}
        connection.request("POST", "/echo-body/", body, headers)
        assert connection.getresponse().status == 200
        queued = until(lambda: sink.points("tidemark.http.server.queue.duration", http__route="/echo-body/"))
    assert [point.attributes["tidemark.queue.source"] for point in queued] == ["header"]
    assert 2 <= mean(queued) < 2.5
    phases = sink.points("tidemark.http.server.phase.duration", tidemark__phase="queue", http__route="/echo-body/")
    assert 2 <= mean(phases) < 2.5


@pytest.mark.measured
def test_a_request_that_stands_still_is_sampled_and_its_trace_kept(sink: Sink) -> None:
    with running(GTHREAD, sink, TIDEMARK_TRACE_RATIO="0") as server:
        server.get("/")
        server.get("/sleep/2500/")
        server.get("/fail/")
        server.stop()
    event, record = next((found for found in sink.logs if found[1].event_name == "tidemark.stall"), ({}, None))
    assert record is not None
    assert event["http.route"] == "/sleep/<int:milliseconds>/"
    assert event["code.function.name"] == "sleep"
    assert event["tidemark.resource.kind"] == "thread_pool"
    assert 1 <= event["tidemark.stall.duration"] < 2.5
    assert ";sleep (project/views.py:" in event["code.stacktrace"]
    names = {span.name: span for span in sink.spans}
    assert set(names) == {"GET /sleep/<int:milliseconds>/", "GET /fail/"}
    assert names["GET /sleep/<int:milliseconds>/"].trace_id == record.trace_id


def test_sampled_requests_join_the_callers_trace_with_their_queries(sink: Sink, sqlite: str) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with running(GTHREAD, sink, TEST_SQLITE=sqlite, TIDEMARK_TRACE_RATIO="0") as server:
        server.get("/books/", headers={"traceparent": f"00-{trace}-{parent}-01"})
        server.stop()
    server_span = next(span for span in sink.spans if span.name == "GET /books/")
    queries = [span for span in sink.spans if span.parent_span_id == server_span.span_id]
    assert server_span.trace_id.hex() == trace
    assert server_span.parent_span_id.hex() == parent
    assert len(queries) == 21
    assert len({span.span_id for span in sink.spans if span.trace_id.hex() == trace}) == 22
    for span in queries:
        assert span.trace_id.hex() == trace
        assert server_span.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert "db.query.text" in {attribute.key for attribute in span.attributes}
