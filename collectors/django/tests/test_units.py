import gzip
import random
import re
import ssl
import subprocess
import threading
import time
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from math import ceil, log2
from pathlib import Path
from typing import Any

import pytest

from tests.sink import until
from tidemark_django import asgi, config, database, encode, executors, http, kernel, net, runtime, semconv, sock_diag
from tidemark_django.agent import MAX_ROUTES, Agent
from tidemark_django.agg import Histogram, HistogramState, Registry
from tidemark_django.alarm import Alarm
from tidemark_django.config import Config
from tidemark_django.export import MAX_QUEUED, MAX_QUEUED_BYTES, Exporter
from tidemark_django.memory import Slope
from tidemark_django.request import RequestState, current_request
from tidemark_django.saturation import Reading, Resource
from tidemark_django.stalls import StallWatch
from tidemark_django.statements import MAX_STATEMENTS, StatementCache, normalise
from tidemark_django.threads import Threads


@pytest.mark.parametrize("value", [2e-6, 0.001, 0.5, 1.0, 1.0000001, 2.0, 3.7, 600.0])
def test_a_bucket_holds_the_values_up_to_its_upper_bound(value: float) -> None:
    histogram = Histogram()
    histogram.record(value)
    state = histogram.take()
    assert state is not None
    (index,) = state.buckets
    assert index == ceil(log2(value) * 16) - 1
    assert 2 ** (index / 16) < value * (1 + 1e-12)
    assert value <= 2 ** ((index + 1) / 16) * (1 + 1e-12)


def test_many_values_at_once_fall_into_the_buckets_that_each_alone_does() -> None:
    source = random.Random(6)
    values = [source.lognormvariate(-6, 2) for _ in range(3000)] + [2.0**power for power in range(-12, 4)]
    histogram = Histogram()
    histogram.add_all([*values, 0.0])
    for value in values:
        histogram.record(value)
    state = histogram.take()
    assert state is not None
    alone = Tally(ceil(log2(value) * 16) - 1 for value in values)
    assert state.buckets == {index: 2 * count for index, count in alone.items()}
    assert (state.count, state.zero, state.high) == (2 * len(values) + 1, 1, max(values))
    assert state.total == pytest.approx(2 * sum(values))


def test_a_histogram_keeps_zero_apart_and_starts_anew() -> None:
    histogram = Histogram()
    for value in (0.0, 1e-6, -0.1, 0.25):
        histogram.record(value)
    state = histogram.take()
    assert state is not None
    assert (state.count, state.zero, state.total, state.low, state.high) == (4, 3, 0.25, 0.0, 0.25)
    assert histogram.take() is None


def test_series_past_the_limit_are_counted_as_other() -> None:
    registry = Registry(series_per_metric=3)
    for number in range(10):
        registry.histogram("http.server.request.duration", (("http.route", f"/{number}"),)).record(1)
    routes = {dict(point.attributes)["http.route"] for point in registry.take()}
    assert routes == {"/0", "/1", "/2", "_other"}


def test_routes_past_the_cap_are_other(agent: Agent) -> None:
    for number in range(MAX_ROUTES):
        assert agent.route(f"{number}/") == f"/{number}/"
    assert agent.route("one more/") == "_other"
    assert agent.route("0/") == "/0/"


@pytest.mark.parametrize(
    ("sql", "text", "summary"),
    [
        ("SELECT * FROM a WHERE b IN (%s, %s, %s)", "SELECT * FROM a WHERE b IN (?)", "SELECT a"),
        (
            'INSERT INTO "shop"."b" (x, y) VALUES (%s, %s), (%s, %s)',
            'INSERT INTO "shop"."b" (x, y) VALUES (?)',
            "INSERT shop.b",
        ),
        ("select a from t where n = 'x;--' and m = 12", "select a from t where n = ? and m = ?", "SELECT t"),
        ('UPDATE "a1" SET "c2" = 1.5e3', 'UPDATE "a1" SET "c2" = ?', "UPDATE a1"),
        ("SELECT a.id FROM a JOIN b ON a.id = b.a_id", "SELECT a.id FROM a JOIN b ON a.id = b.a_id", "SELECT a b"),
        ('SAVEPOINT "s140_x1"', "SAVEPOINT", "SAVEPOINT"),
        ("  /* hint */ DELETE\nFROM t;", "DELETE FROM t", "DELETE t"),
        ("", "", "OTHER"),
    ],
)
def test_statements_lose_their_literals(sql: str, text: str, summary: str) -> None:
    statement = normalise(sql)
    assert (statement.text, statement.summary) == (text, summary)


@pytest.mark.parametrize(
    ("system", "sql", "text"),
    [
        ("postgresql", "select /* a /* b */ s3cret */ 1 -- s3cret", "select ?"),
        ("microsoft.sql_server", "select /* /* */ 's3cret' */ [a] from t", "select [a] from t"),
        ("sqlite", "/* a /* b */ select [it's], 's3cret'", "select [it's], ?"),
        ("mysql", "select 1 # s3cret\nfrom t", "select ? from t"),
        ("mysql", "select 5--'s3\ncret' -- s3cret", "select ?--?"),
        ("mysql", "select 'it\\'s s3cret', \"s3cret\", `na'me`", "select ?, ?, `na'me`"),
        ("postgresql", "select a # 5, a %5, a%%5, b.c5", "select a # ?, a %?, a%%?, b.c5"),
        ("postgresql", "select a -7 from t where b in (-1, 2)", "select a -? from t where b in (?)"),
        ("postgresql", "select $é$s3cret$é$, 1_000, .5, 0xff", "select ?, ?, ?, ?"),
        (
            "oracle.db",
            "select q'[it's s3cret]', nq'{it's s3cret}', Q'!it's s3cret!' from dual",
            "select ?, ?, ? from dual",
        ),
        ("postgresql", "select /* never closed s3cret", "select"),
        ("postgresql", "select 'never closed s3cret", "select ?"),
    ],
)
def test_no_value_survives_what_a_database_takes_for_a_comment_or_a_string(system: str, sql: str, text: str) -> None:
    assert normalise(sql, system).text == text


def test_statements_have_the_shape_that_the_node_agent_and_the_ingest_give_them() -> None:
    import json
    from pathlib import Path

    corpus = Path(__file__).parents[3] / "services/ingest/test/fixtures/statements.json"
    for entry in json.loads(corpus.read_text()):
        text = normalise(entry["raw"], entry["system"]).text
        assert text == entry["django"]
        if "SAVEPOINT" not in text:
            assert text == entry.get("node", text).rstrip(";")


@pytest.mark.measured
def test_normalising_takes_time_linear_in_the_text() -> None:
    def seconds(sql: str) -> float:
        start = time.thread_time()
        normalise(sql)
        return time.thread_time() - start

    for unit in ["'", '"', "`", "$a", "$a$ ", "/*", "--", "(?,", "IN (", "VALUES (?),", ":a", "1", "e'", "%("]:
        short, long = (min(seconds(unit * (size // len(unit))) for _ in range(3)) for size in (2000, 8000))
        assert long < max(short, 0.0005) * 16, unit


def test_statements_are_bounded() -> None:
    cache = StatementCache()
    for number in range(MAX_STATEMENTS + 2500):
        cache.get(f"SELECT a{number} FROM t")
    assert cache.get("SELECT fresh FROM t").text == "_other"
    assert cache.get("SELECT a1 FROM t").text == "SELECT a1 FROM t"
    assert len(cache._raw) <= 2000


def test_long_statements_are_cut_at_1024_characters() -> None:
    assert len(normalise("SELECT " + ", ".join(f"column_{n}x" for n in range(2000))).text) == 1024


def test_the_environment_wins_over_the_setting_and_bad_values_are_ignored(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "_told", set())
    for _ in range(2):
        found = config.load(
            {
                "TIDEMARK_EXPORT_INTERVAL": "2.5",
                "TIDEMARK_TRACE_RATIO": "7",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://o:1/",
            },
            {"EXPORT_INTERVAL": 60, "TOKEN": "t", "ENDPOINT": "http://setting:1"},
        )
    assert (found.export_interval, found.trace_ratio, found.token) == (2.5, 0.01, "t")
    assert found.endpoint == "http://o:1"
    # Once, however often the settings are read.
    assert caplog.text.count("TIDEMARK_TRACE_RATIO='7' is ignored") == 1
    assert config.load({"TIDEMARK_ENDPOINT": "nonsense"}, {}).endpoint == Config().endpoint
    assert config.load({"OTEL_SDK_DISABLED": "true"}, {}).disabled


@pytest.mark.measured
def test_reading_the_own_times_does_not_give_the_interpreter_lock_away() -> None:
    done = threading.Event()

    def burn() -> None:
        while not done.is_set():
            pass

    threading.Thread(target=burn, daemon=True).start()
    times = kernel.OwnTimes()
    took: list[float] = []
    for _ in range(20):
        start = time.perf_counter()
        assert times.read() == pytest.approx(kernel.thread_times(threading.get_native_id()), abs=0.5)
        start = time.perf_counter()
        times.read()
        took.append(time.perf_counter() - start)
    done.set()
    # Given away, the lock comes back after a switch interval, 5 ms.
    assert sorted(took)[10] < 0.002


@pytest.mark.parametrize("has_timer", [True, False])
def test_an_alarm_sleeps_as_long_as_asked_and_tells_what_was_late_of_it(has_timer: bool) -> None:
    alarm = Alarm()
    if not has_timer:
        alarm._libc = None
    start = time.perf_counter()
    late, without_core = alarm.sleep(0.05)
    assert time.perf_counter() - start >= 0.05
    assert late <= time.perf_counter() - start - 0.05
    assert (without_core is None) == (not has_timer)
    assert without_core is None or 0 <= without_core <= late
    alarm.close()


def test_the_readme_has_every_setting() -> None:
    import dataclasses

    text = (Path(__file__).parent.parent / "README.md").read_text()
    named = set(re.findall(r"^\| `(?:TIDEMARK|OTEL(?:_EXPORTER_OTLP)?)_([A-Z_]+)` \|", text, re.MULTILINE))
    assert named == {field.name.upper() for field in dataclasses.fields(Config)}


def test_the_readme_has_the_default_of_every_setting() -> None:
    import dataclasses

    text = (Path(__file__).parent.parent / "README.md").read_text()
    told = dict(re.findall(r"^\| `TIDEMARK_([A-Z_]+)` \| `([^`]*)` \|", text, re.MULTILINE))
    defaults = {field.name.upper(): field.default for field in dataclasses.fields(Config)}
    plain = {
        name: f"{default:g}" if isinstance(default, int | float) else default
        for name, default in defaults.items()
        if isinstance(default, int | float | str) and default != ""
    }
    assert told == plain


def test_every_metric_of_the_registry_is_sent_from_somewhere() -> None:
    source = Path(encode.__file__).parent
    text = "\n".join(file.read_text() for file in source.rglob("*.py") if file.name != "semconv.py")
    # A resource puts its own numbers behind one prefix.
    own = {f"tidemark.resource.{name}" for name in re.findall(r'\("([a-z_.]+)", ', text)}
    assert [name for name in semconv.METRICS if f'"{name}"' not in text and name not in own] == []


def test_every_test_that_the_readme_names_exists() -> None:
    folder = Path(__file__).parent
    named = set(re.findall(r"`(test_\w+)`", (folder.parent / "README.md").read_text()))
    defined = {name for file in folder.glob("*.py") for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)}
    assert len(named) >= 14
    assert named <= defined


def test_an_export_checks_the_certificate_of_the_ingest(agent: Agent, tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True)

    class Accepting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Accepting)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    left: dict[str, int] = {}
    try:
        for path in ("", certificate):
            environment = {"TIDEMARK_ENDPOINT": f"https://127.0.0.1:{server.server_address[1]}"}
            agent.config = config.load(environment | {"OTEL_EXPORTER_OTLP_CERTIFICATE": path}, {})
            exporter = Exporter(agent, list)
            exporter._push("metrics", b"x", 1)
            exporter._drain(5)
            left[path] = len(exporter._queue)
    finally:
        server.shutdown()
        server.server_close()
    assert left == {"": 1, certificate: 0}


@pytest.mark.parametrize("header", ["t=1000.25", "1000250", "1000250000, 5"])
def test_proxy_stamps_in_any_unit(header: str) -> None:
    scale = {"t": 1.0}
    now = 1_700_001_000.5
    value = {"t=1000.25": "t=1700001000.25", "1000250": "1700001000250", "1000250000, 5": "1700001000250000, 5"}[header]
    assert scale
    assert net.since_header(value, now) == pytest.approx(0.25, abs=1e-3)


def test_nonsense_stamps_are_dropped() -> None:
    assert net.since_header("soon", 1.7e9) is None
    assert net.since_header("t=1600000000", 1.7e9) is None


@pytest.mark.parametrize(
    ("version", "headers", "told"),
    [
        ("1.1", {}, True),
        ("1.0", {b"content-length": b"65535"}, True),
        ("1.1", {b"content-length": b"65536"}, False),
        ("1.1", {b"transfer-encoding": b"chunked"}, False),
        ("1.1", {b"expect": b"100-continue"}, False),
        ("2", {}, False),
    ],
)
def test_the_last_bytes_of_a_socket_are_the_requests_only_if_they_came_with_its_beginning(
    version: str, headers: dict[bytes, bytes], told: bool
) -> None:
    assert asgi._is_at_once({"http_version": version}, headers) is told


def test_batches_for_an_absent_ingest_are_bounded_and_the_loss_is_counted(agent: Agent) -> None:
    exporter = Exporter(agent, list)
    for _ in range(MAX_QUEUED + 10):
        exporter._push("metrics", b"x" * 100, 7)
    assert len(exporter._queue) == MAX_QUEUED
    assert agent.registry.counter("tidemark.agent.dropped", (("tidemark.dropped.reason", "queue_full"),)).take() == 70
    import os

    for _ in range(12):
        exporter._push("metrics", os.urandom(1024 * 1024), 1)
    assert exporter._queued_bytes <= MAX_QUEUED_BYTES
    assert sum(len(batch.body) for batch in exporter._queue) == exporter._queued_bytes


@pytest.mark.measured
def test_an_absent_ingest_is_asked_less_and_less_often(agent: Agent) -> None:
    exporter = Exporter(agent, list)
    exporter._push("metrics", b"x", 1)
    exporter._drain(1)
    first = exporter._not_before - time.monotonic()
    exporter._not_before = 0
    exporter._drain(1)
    assert 0.3 < first <= 1
    assert first < exporter._not_before - time.monotonic() <= 2
    assert len(exporter._queue) == 1
    started = time.monotonic()
    exporter._drain(1)
    assert time.monotonic() - started < 0.05


def test_a_resource_reports_mean_and_maximum_of_its_ticks_and_no_more_than_it_knows() -> None:
    readings = [Reading(2, 0, 0), Reading(2, 2, 3), Reading(2, 2, 0), Reading(2, 2, 1), Reading(2, 2, 5, 0.5)]
    resource = Resource(Registry(), "thread_pool", "test", lambda: readings.pop(0))
    for _ in range(4):
        resource.tick(0.25)
    values = {point.metric.removeprefix("tidemark.resource."): point.value for point in resource.take()}
    assert values == {
        "busy": 1.5,
        "busy.max": 2,
        "waiting": 1.0,
        "waiting.max": 3,
        "saturated_time": 0.5,
        "capacity": 2,
        "stall_age": 0.5,
    }
    unknown = Resource(Registry(), "executor", "free", lambda: Reading(busy=1))
    unknown.tick(0.25)
    assert {point.metric for point in unknown.take()} == {"tidemark.resource.busy", "tidemark.resource.busy.max"}


def test_cancelled_work_does_not_wait_for_ever(agent: Agent) -> None:
    release = threading.Event()
    with executors.GlobalExecutor(max_workers=1) as executor:
        executor.submit(release.wait)
        futures = [executor.submit(int) for _ in range(5)]
        watch = agent.executors["asgiref.global"]
        until(lambda: watch.read().busy == 1)
        assert watch.read().waiting == 5
        assert (watch.read().stall_age or 0) > 0
        for future in futures[:3]:
            future.cancel()
        assert watch.read().waiting == 2
        release.set()
    assert (watch.read().waiting, watch.read().busy) == (0, 0)


def test_memory_per_connection_is_absent_while_the_variation_is_small_and_after_the_connections_close() -> None:
    slope = Slope()
    for count in range(40):
        slope.add(count, 1_000_000 + count * 30_000)
    assert slope.fit(39) is None
    for count in range(40, 100):
        slope.add(count, 1_000_000 + count * 30_000)
    rising = slope.fit(99)
    for count in range(98, 0, -1):
        slope.add(count, 9_000_000)
    assert slope.fit(1) is None
    # They come again, into memory that never went back: that says nothing new.
    for count in range(1, 100):
        slope.add(count, 9_000_000)
    assert slope.fit(99) == rising
    assert rising is not None
    assert rising[0] == pytest.approx(30_000, rel=0.05)


def test_memory_that_does_not_follow_the_connections_is_no_cost_of_theirs() -> None:
    slope = Slope()
    for count in range(0, 200, 10):
        slope.add(count, 50_000_000 + (7_000_000 if count % 20 else 0))
    assert slope.fit(190) is None


class Composed:
    """As one of psycopg: SQL that is no text, and has no hash."""

    def __init__(self, text: str) -> None:
        self.text = text

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.text


@contextmanager
def in_request(agent: Agent) -> Iterator[tuple[RequestState, Any]]:
    """A request, and the connection of a SQLite database in memory."""
    from django.db.utils import ConnectionHandler

    database.install()
    connection = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})["default"]
    state = RequestState(agent, "GET", "http")
    token = current_request.set(state)
    try:
        yield state, connection
    finally:
        current_request.reset(token)
        connection.close()


@pytest.mark.filterwarnings("ignore:Accessing the database")
def test_a_query_that_another_one_needs_is_part_of_its_time(agent: Agent) -> None:
    def asks_too(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql == "SELECT 1":
            with context["connection"].cursor() as cursor:
                cursor.execute("SELECT 2")
        return execute(sql, params, many, context)

    with in_request(agent) as (state, connection), connection.cursor() as cursor:
        opening = state.queried
        with connection.execute_wrapper(asks_too):
            cursor.execute("SELECT 1")
        cursor.execute("SELECT 3")
        with pytest.raises(connection.Database.OperationalError):
            connection.connection.cursor().execute("SELECT FROM")
        with pytest.raises(Exception, match="syntax"):
            cursor.execute("SELECT FROM")
    assert [query[3] for query in state.queries or ()] == ["SELECT 2", "SELECT 1", "SELECT 3", "SELECT FROM"]
    _, *outer = (query[1] - query[0] for query in state.queries or ())
    assert opening > 0
    assert state.queried == pytest.approx(opening + sum(outer), abs=1e-9)
    assert state.queries is not None
    assert [query[4] for query in state.queries] == [None, None, None, "OperationalError"]


@pytest.mark.filterwarnings("ignore:Accessing the database")
def test_each_opening_counts_for_the_request_and_the_database_that_the_connection_then_has(agent: Agent) -> None:
    with in_request(agent) as (state, connection):
        for name in (":memory:", ":memory:", ":memory:", "file:moved?mode=memory", ":memory:"):
            connection.settings_dict["NAME"] = name
            before = state.queried
            connection.connect()
            assert state.queried > before
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
    namespaces = [database.resolve(query)[0].namespace for query in state.queries or ()]
    assert namespaces == [":memory:", ":memory:", ":memory:", "file:moved?mode=memory", ":memory:"]
    opened = [point.value for point in agent.registry.take() if point.metric == "db.client.connection.create_time"]
    assert [value.count for value in opened if isinstance(value, HistogramState)] == [5]
    assert state.phases()["db"] == state.inner == state.queried


@pytest.mark.filterwarnings("ignore:Accessing the database")
def test_sql_that_is_no_text_is_counted_by_its_text(agent: Agent) -> None:
    with in_request(agent) as (state, connection), connection.cursor() as cursor:
        for _ in range(2):
            cursor._execute_with_wrappers(
                Composed("SELECT 1"), [1], many=False, executor=lambda *_: cursor.cursor.execute("SELECT 1")
            )
    assert state.runs == {"SELECT 1": 2}
    agent.finished.append(state)
    http.drain(agent)
    counts = {point.metric: point.value for point in agent.registry.take()}
    assert "tidemark.agent.errors" not in counts
    duration = counts["db.client.operation.duration"]
    assert isinstance(duration, HistogramState)
    assert duration.count == 2


def test_a_finished_request_is_recorded_once_and_many_do_not_pile_up(agent: Agent) -> None:
    agent.registry.before = partial(http.drain, agent)
    total = http.MAX_UNDRAINED + 2
    for _ in range(total):
        state = RequestState(agent, "GET", "http")
        for _ in range(2):
            http.finish(agent, state)
    assert len(agent.finished) <= http.MAX_UNDRAINED
    counts = {
        point.metric: point.value.count for point in agent.registry.take() if isinstance(point.value, HistogramState)
    }
    assert counts["http.server.request.duration"] == total
    assert counts["tidemark.http.server.phase.duration"] == total


def test_requests_of_a_worker_that_is_given_up_are_told_once_each_and_are_one_timeout(agent: Agent) -> None:
    agent.threads = Threads(agent)
    agent.request_limit = 0.5
    ended = threading.Event()
    stuck = [threading.Thread(target=ended.wait) for _ in range(2)]
    for number, thread in enumerate(stuck):
        thread.start()
        state = RequestState(agent, "GET", "http")
        state.start -= 0.6
        state.thread_id = thread.ident
        agent.requests[number] = state
    watch = StallWatch(agent)
    for _ in range(4):
        watch.tick()
    ended.set()
    assert [event.name for event in agent.events] == ["tidemark.stall"] * 2
    assert [point.value for point in agent.registry.take() if point.metric == "tidemark.worker.timeouts"] == [1]


@pytest.mark.parametrize("answer", [b"", b"\0" * 16, b"\x24\0\0\0\x14\0" + b"\0" * 12 + b"\x0a" + b"\0" * 17])
def test_an_answer_about_a_unix_socket_that_says_nothing_is_no_queue(answer: bytes) -> None:
    assert sock_diag.queue_in(answer) is None


def test_a_child_process_does_not_inherit_the_agent(agent: Agent) -> None:
    import os

    child = os.fork()
    if child == 0:
        os._exit(0 if runtime.agent is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert runtime.agent is agent


def test_every_metric_named_in_the_source_is_in_the_registry() -> None:
    source = Path(encode.__file__).parent
    prefixes = ("tidemark.", "http.server.", "db.client.", "process.", "cpython.")
    named = {
        match
        for file in source.rglob("*.py")
        if file.name != "semconv.py"
        for match in re.findall(r'"([a-z_]+(?:\.[a-z_]+){1,4})"', file.read_text())
        if match.startswith(prefixes) and re.search(r"duration|\.memory|\.time|_count|\.hits|\.misses|hops", match)
    }
    assert named - set(semconv.METRICS) == set()


def test_an_export_is_a_valid_message(agent: Agent) -> None:
    agent.histogram("tidemark.agent.export.duration").record(0.25)
    body = encode.metrics_request(agent.identity, agent.registry.take(), 1, 2)
    assert gzip.decompress(gzip.compress(body, 1)) == body
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    metric = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics[0]
    assert metric.exponential_histogram.data_points[0].positive.offset == -33
