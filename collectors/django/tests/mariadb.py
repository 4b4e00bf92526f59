import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from tests.sink import until

MAX_CONNECTIONS = 12


def serve() -> Iterator[str]:
    """Socket of a new MariaDB server, ended with the iterator."""
    program = shutil.which("mariadbd")
    if program is None:
        pytest.skip("no mariadbd")
    folder = tempfile.mkdtemp(prefix="tidemark-mariadb-")
    address = f"{folder}/socket"
    log = Path(folder, "log")
    # Without its tables of users: everybody on the socket may do everything, and no installation is needed.
    with log.open("wb") as output:
        server = subprocess.Popen(
            [
                *(program, "--no-defaults", f"--datadir={folder}", f"--socket={address}", f"--pid-file={folder}/pid"),
                *(["--user=root"] if os.geteuid() == 0 else []),
                *("--skip-networking", "--skip-grant-tables", f"--max-connections={MAX_CONNECTIONS}"),
                *("--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M"),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def answers() -> bool:
        assert server.poll() is None, log.read_text()
        try:
            pymysql.connect(unix_socket=address, user="root").close()
        except pymysql.OperationalError:
            return False
        return True

    try:
        until(answers, 60)
        yield address
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
