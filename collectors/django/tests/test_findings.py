import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from tests.serving import ROOT, gunicorn, running
from tests.sink import Sink, until
from tidemark_django.findings import RULES, Deployment, find


def ids(deployment: Deployment, **database: Any) -> list[str]:
    defaults = {"ENGINE": "django.db.backends.postgresql", "CONN_HEALTH_CHECKS": True}
    settings = SimpleNamespace(DATABASES={"default": {**defaults, **database}})
    return [finding.id.removeprefix("tidemark.") for finding in find(settings, deployment)]


@pytest.mark.parametrize(
    ("deployment", "database", "expected"),
    [
        (Deployment(asgi=True), {"CONN_MAX_AGE": 60}, ["W001"]),
        (Deployment(asgi=True), {"CONN_MAX_AGE": None}, ["W001"]),
        (Deployment(asgi=True), {"CONN_MAX_AGE": 0}, []),
        (Deployment(asgi=True), {"CONN_MAX_AGE": 60, "OPTIONS": {"pool": {"max_size": 9}}}, []),
        (Deployment(asgi=True), {"CONN_MAX_AGE": 60, "ENGINE": "django.db.backends.sqlite3"}, []),
        (Deployment(), {"CONN_MAX_AGE": 60}, []),
        (Deployment(gevent=True), {"CONN_MAX_AGE": 60}, ["W002"]),
        (Deployment(threads=8), {"OPTIONS": {"pool": {"max_size": 4}}}, ["W003"]),
        (Deployment(threads=4), {"OPTIONS": {"pool": {"max_size": 4}}}, []),
        (Deployment(threads=8), {"OPTIONS": {"pool": True}}, ["W004", "W003"]),
        (Deployment(workers=6, cores=2), {}, ["W005"]),
        (Deployment(workers=5, cores=2), {}, []),
        (Deployment(configured_backlog=2048, backlog_limit=128), {}, ["W006"]),
        (Deployment(configured_backlog=128, backlog_limit=128), {}, []),
        (Deployment(workers=4, threads=30, connection_limits={"default": 100}), {}, ["W008"]),
        (Deployment(workers=4, threads=25, connection_limits={"default": 100}), {}, []),
        (
            Deployment(workers=4, threads=8, connection_limits={"default": 100}),
            {"OPTIONS": {"pool": {"max_size": 26}}},
            ["W008"],
        ),
        (Deployment(workers=101, server="gunicorn-sync", connection_limits={"default": 100}), {}, ["W008"]),
        (Deployment(workers=101, asgi=True, connection_limits={"default": 100}), {}, []),
        (Deployment(workers=101, threads=8, connection_limits={"default": 0}), {}, []),
        (Deployment(threads=9, cores=2), {}, ["W009"]),
        (Deployment(threads=8, cores=2), {}, []),
        (Deployment(), {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": False}, ["W010"]),
        (Deployment(), {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}, []),
    ],
)
def test_a_finding_is_told_where_it_holds_and_nowhere_else(
    deployment: Deployment, database: dict[str, Any], expected: list[str]
) -> None:
    assert ids(deployment, **database) == expected


@pytest.mark.parametrize(
    ("workers", "backend", "expected"),
    [
        (2, "channels.layers.InMemoryChannelLayer", ["tidemark.W011"]),
        (1, "channels.layers.InMemoryChannelLayer", []),
        (2, "channels_redis.core.RedisChannelLayer", []),
    ],
)
def test_a_channel_layer_in_memory_is_a_finding_with_several_workers(
    workers: int, backend: str, expected: list[str]
) -> None:
    settings = SimpleNamespace(CHANNEL_LAYERS={"default": {"BACKEND": backend}})
    assert [finding.id for finding in find(settings, Deployment(workers=workers))] == expected


def test_debug_is_a_finding_except_in_the_development_server_and_when_silenced() -> None:
    debug = SimpleNamespace(DEBUG=True)
    assert [finding.id for finding in find(debug, Deployment(server="gunicorn-sync"))] == ["tidemark.W007"]
    assert find(debug, Deployment(server="runserver")) == []
    debug.SILENCED_SYSTEM_CHECKS = ["tidemark.W007"]
    assert find(debug, Deployment(server="gunicorn-sync")) == []


def test_the_readme_has_every_finding_with_its_reason_and_its_fix() -> None:
    text = (Path(ROOT) / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(tidemark\.W\d+)` \| (.*) \|$", text, re.MULTILINE))
    assert rows == {name: f"{rule.why} | {rule.fix}" for name, rule in RULES.items()}


def test_a_serving_process_sends_what_it_finds(sink: Sink) -> None:
    command = gunicorn("--workers", "1", "--worker-class", "gthread", "--backlog", "1000000")
    with running(command, sink, TEST_DEBUG="1") as server:
        found = until(lambda: {event["tidemark.finding.id"] for event in sink.events("tidemark.finding")})
        log = server.output.read_text()
    assert found == {"tidemark.W006", "tidemark.W007"}
    assert log.count("tidemark.W007") == 1
    gauges = until(lambda: sink.points("tidemark.finding"))
    assert all(event["tidemark.finding.fix"] for event in sink.events("tidemark.finding"))
    told = {point.attributes["tidemark.finding.id"]: point.attributes for point in gauges}
    assert told["tidemark.W007"]["tidemark.finding.where"] == "gunicorn-gthread serves with DEBUG = True"
    assert told["tidemark.W007"]["tidemark.finding.why"] == RULES["tidemark.W007"].why


def test_the_database_is_asked_once_how_many_connections_it_allows(sink: Sink, postgres: str) -> None:
    with psycopg.connect(postgres) as other:
        row = other.execute("SHOW max_connections").fetchone()
    assert row is not None
    threads = int(row[0]) + 1
    command = gunicorn("--worker-class", "gthread", "--threads", str(threads))
    with running(command, sink, TEST_POSTGRES=postgres, TEST_CONN_MAX_AGE="0") as server:
        server.get("/connect/1/")
        where = until(
            lambda: [
                point.attributes["tidemark.finding.where"]
                for point in sink.points("tidemark.finding", tidemark__finding__id="tidemark.W008")
            ]
        )
        server.stop()
    assert where[0] == f'1 workers x {threads} connections, DATABASES["default"] allows {row[0]}'
    # The question is the agent's, not the application's.
    assert not sink.points("db.client.operation.duration", db__operation__name="SHOW")


def test_the_system_check_of_a_deployment_shows_them_too() -> None:
    program = (
        "import django, sys; from django.core.management import call_command; django.setup(); "
        "from django.conf import settings; "
        "settings.DATABASES['other'] = {'ENGINE': 'django.db.backends.postgresql', 'CONN_MAX_AGE': 60}; "
        "call_command('check', '--deploy', '--tag', 'tidemark')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "tests.project.settings", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '(tidemark.W001) DATABASES["other"] has CONN_MAX_AGE = 60' in done.stderr
    assert "HINT: `CONN_MAX_AGE = 0`, or a pool" in done.stderr
