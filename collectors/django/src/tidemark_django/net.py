"""What the Linux kernel knows about sockets. Everything here gives None where the kernel does not tell."""

import contextlib
import os
import socket
import stat
import struct
from dataclasses import dataclass
from typing import Any, Final

from tidemark_django import sock_diag

# Offsets into struct tcp_info, stable since Linux 2.6 (include/uapi/linux/tcp.h): eight one-byte fields, then u32.
TCP_INFO_BYTES: Final = 104
UNACKED_OFFSET: Final = 24
SACKED_OFFSET: Final = 28
LAST_DATA_RECV_END: Final = 56
STATE_AND_LAST_DATA_RECV: Final = struct.Struct("=B51xI")
IPPROTO_TCP: Final = socket.IPPROTO_TCP
TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
TCP_LISTEN: Final = sock_diag.TCP_LISTEN
SO_MEMINFO: Final = 55
MEMINFO_BYTES: Final = 36
MEMINFO_DROPS_OFFSET: Final = 32
MS_PER_S: Final = 1e3
LARGE_BODY_BYTES: Final = 65536
MAX_QUEUE_S: Final = 600.0
MAX_QUEUE_MS: Final = MAX_QUEUE_S * MS_PER_S


@dataclass(frozen=True)
class AcceptQueue:
    """Connections the kernel accepted and the application did not, and how many there may be."""

    length: int
    limit: int


def accept_queue(listener: Any) -> AcceptQueue | None:
    """
    Accept queue of a listening socket, as ``ss -ltn`` and ``ss -xl`` show it.

    TCP: ``tcpi_unacked`` and ``tcpi_sacked``; Unix: the kernel's socket diagnosis. None outside Linux, and once the
    server has closed the socket.
    """
    family = getattr(listener, "family", None)
    if family is None:
        return None
    if family == getattr(socket, "AF_UNIX", None):
        return _unix_accept_queue(listener)
    info = _tcp_info(listener)
    if info is None or info[0] != TCP_LISTEN:
        return None
    return AcceptQueue(
        struct.unpack_from("=I", info, UNACKED_OFFSET)[0], struct.unpack_from("=I", info, SACKED_OFFSET)[0]
    )


def _unix_accept_queue(listener: Any) -> AcceptQueue | None:
    try:
        found = sock_diag.unix_accept_queue(os.fstat(listener.fileno()).st_ino)
    except (OSError, AttributeError, ValueError):
        return None
    return AcceptQueue(*found) if found is not None else None


def listen_drops(listener: Any) -> int | None:
    """
    Connections this listening socket dropped since it was opened (``sk_drops``, Linux 4.12).

    None for Unix sockets: there a client waits, or is refused, without being counted.
    """
    try:
        if listener.family == getattr(socket, "AF_UNIX", None):
            return None
        memory = listener.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO_BYTES)
    except (OSError, AttributeError, TypeError, ValueError):
        return None
    return struct.unpack_from("=I", memory, MEMINFO_DROPS_OFFSET)[0] if len(memory) >= MEMINFO_BYTES else None


def since_last_data(connection: Any) -> float | None:
    """
    Seconds since the client's last bytes reached this host: what a request waited before the application read it.

    ``tcpi_last_data_recv`` counts in jiffies, so values come in steps of 4 ms (HZ = 250) and short waits read as 0.
    """
    return last_data_age(socket_info(connection))


def socket_info(connection: Any) -> bytes | None:
    """What :func:`last_data_age` reads later: a request only takes it along. None where the kernel does not tell."""
    try:
        info: bytes = connection.getsockopt(IPPROTO_TCP, TCP_INFO, LAST_DATA_RECV_END)
        return info
    except (OSError, AttributeError, TypeError, ValueError):
        return None


def last_data_age(info: bytes | None) -> float | None:
    """Seconds between a connection's last bytes and its :func:`socket_info`."""
    ages = last_data_ages([info[:LAST_DATA_RECV_END]]) if info is not None else []
    return ages[0] if ages else None


def last_data_ages(infos: list[bytes]) -> list[float]:
    """:func:`last_data_age` of many at once; those that tell none are left out."""
    told = b"".join([info for info in infos if len(info) == LAST_DATA_RECV_END])
    return [
        milliseconds / MS_PER_S
        for state, milliseconds in STATE_AND_LAST_DATA_RECV.iter_unpack(told)
        if state != TCP_LISTEN and milliseconds <= MAX_QUEUE_MS
    ]


def is_small(length: str | bytes | None) -> bool:
    """Whether a body of this ``Content-Length`` came with the request's first bytes: then the last ones are its own."""
    return not length or (length.isdigit() and int(length) < LARGE_BODY_BYTES)


def since_last_data_between(server: Any, client: Any) -> float | None:
    """
    As :func:`since_last_data` for servers that keep the socket to themselves but tell its two addresses.

    Args:
        server: Host and port as ASGI has them; the port may be text.
    """
    try:
        return last_data_age(sock_diag.tcp_info((server[0], int(server[1])), (client[0], int(client[1]))))
    except (TypeError, ValueError, IndexError, struct.error):
        return None


def since_last_data_fd(descriptor: int) -> float | None:
    """As :func:`since_last_data` for transports that hide their socket (uvloop)."""
    try:
        with contextlib.closing(socket.socket(fileno=os.dup(descriptor))) as connection:
            return since_last_data(connection)
    except OSError:
        return None


def since_header(header: str, now: float) -> float | None:
    """
    Seconds since a proxy stamped ``X-Request-Start`` or ``X-Queue-Start``.

    Proxies write seconds, milliseconds, microseconds or nanoseconds, with or without ``t=``: the unit is guessed by
    magnitude. Stamps in the future (clocks apart) and older than ten minutes are dropped.

    >>> since_header("t=1700000000.5", 1700000001.0)
    0.5
    >>> since_header("1700000000500", 1700000001.0)
    0.5
    >>> since_header("1700000009", 1700000001.0) is None
    True
    """
    text = header.split(",", maxsplit=1)[0].strip().removeprefix("t=")
    try:
        stamp = float(text)
    except ValueError:
        return None
    for limit, per_second in ((1e10, 1.0), (1e13, 1e3), (1e16, 1e6), (float("inf"), 1e9)):
        if stamp < limit:
            stamp /= per_second
            break
    waited = now - stamp
    return waited if 0 <= waited <= MAX_QUEUE_S else None


def own_listeners(port: int | None = None) -> list[socket.socket]:
    """
    Duplicates of this process's listening sockets, for servers that keep theirs to themselves.

    Args:
        port: Only those of this TCP port.
    """
    found: list[socket.socket] = []
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return found
    for number in numbers:
        try:
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            candidate = socket.socket(fileno=os.dup(number))
        except OSError:
            continue
        name = candidate.getsockname()
        wanted = port is None or (isinstance(name, tuple) and name[1:2] == (port,))
        if wanted and accept_queue(candidate) is not None:
            found.append(candidate)
        else:
            candidate.close()
    return found


def listener_id(listener: Any) -> str | None:
    """Name of a listening socket that all its workers agree on, for example ``tcp:127.0.0.1:8000``."""
    try:
        name = listener.getsockname()
    except (OSError, AttributeError):
        return None
    if isinstance(name, tuple):
        host = f"[{name[0]}]" if ":" in str(name[0]) else name[0]
        return f"tcp:{host}:{name[1]}"
    return f"unix:{os.fsdecode(name)}"


def _tcp_info(connection: Any) -> bytes | None:
    try:
        info: bytes = connection.getsockopt(IPPROTO_TCP, TCP_INFO, TCP_INFO_BYTES)
    except (OSError, AttributeError, TypeError, ValueError):
        return None
    return info if len(info) > SACKED_OFFSET + 4 else None
