import os
from collections.abc import Iterator

import pymysql

from tests.daemons import daemon, installed, new_folder

MAX_CONNECTIONS = 12


def serve() -> Iterator[str]:
    """Socket of a new MariaDB server, ended with the iterator."""
    program = installed("mariadbd")
    with new_folder() as folder:
        address = f"{folder}/socket"
        # Without its tables of users: everybody on the socket may do everything, and no installation is needed.
        command = [
            *(program, "--no-defaults", f"--datadir={folder}", f"--socket={address}", f"--pid-file={folder}/pid"),
            *(["--user=root"] if os.geteuid() == 0 else []),
            *("--skip-networking", "--skip-grant-tables", f"--max-connections={MAX_CONNECTIONS}"),
            *("--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M"),
        ]
        connect = lambda: pymysql.connect(unix_socket=address, user="root")  # noqa: E731
        with daemon(command, folder, connect, pymysql.OperationalError):
            yield address
