"""
The kernel's socket diagnosis (``NETLINK_SOCK_DIAG``): what ``ss`` asks. Needs no privilege.

For sockets that ``TCP_INFO`` cannot reach: Unix ones, and those a server keeps to itself. Everything here gives None
where the kernel does not tell.
"""

import _socket
import contextlib
import socket
import struct
from typing import Final

# linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h, linux/inet_diag.h
NETLINK_SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
NLM_F_REQUEST: Final = 1
NETLINK_TIMEOUT_S: Final = 0.05
TCP_LISTEN: Final = 10
ATTRIBUTE_HEADER_BYTES: Final = 4
ANY_COOKIE: Final = (0xFFFFFFFF, 0xFFFFFFFF)
ALL_STATES: Final = 0xFFFFFFFF

ANSWER_BYTES: Final = 8192
"""The kernel's answer about one Unix socket is at most a page."""

UDIAG_SHOW_PEER: Final = 0x04
UDIAG_SHOW_ICONS: Final = 0x08
UDIAG_SHOW_RQLEN: Final = 0x10
UNIX_DIAG_PEER: Final = 2
UNIX_DIAG_ICONS: Final = 3
UNIX_DIAG_RQLEN: Final = 4
UNIX_REQUEST: Final = struct.Struct("=IHHIIBBHIIIII")
UNIX_ANSWER_BYTES: Final = 32
UNIX_STATE_OFFSET: Final = 18

INET_DIAG_INFO: Final = 2
INET_REQUEST: Final = struct.Struct("=IHHIIBBBBI4s16s16sIII")
INET_ANSWER_BYTES: Final = 88


def unix_accept_queue(inode: int) -> tuple[int, int] | None:
    """Length and limit of a listening Unix socket's accept queue, as ``ss -xl`` shows them."""
    answer = _ask_unix(inode, UDIAG_SHOW_RQLEN)
    return queue_in(answer) if answer is not None else None


def unix_waiting(inode: int) -> list[int] | None:
    """
    The connections in a listening Unix socket's accept queue, oldest first, each by the inode of its client's end.

    None for a queue of more than about 950: the kernel answers with one page.
    """
    answer = _ask_unix(inode, UDIAG_SHOW_ICONS)
    if answer is None or answer[UNIX_STATE_OFFSET] != TCP_LISTEN:
        return None
    found = _attribute(answer, UNIX_ANSWER_BYTES, UNIX_DIAG_ICONS) or b""
    # A client that has left has no inode any more.
    return [peer for (peer,) in struct.iter_unpack("=I", found[: len(found) & ~3]) if peer]


def unix_peer(inode: int) -> int | None:
    """Inode of the client's end of an accepted Unix connection; None once the client has left."""
    answer = _ask_unix(inode, UDIAG_SHOW_PEER)
    peer = _attribute(answer, UNIX_ANSWER_BYTES, UNIX_DIAG_PEER) if answer is not None else None
    found: int = struct.unpack("=I", peer)[0] if peer is not None and len(peer) == 4 else 0
    return found or None


def _ask_unix(inode: int, show: int) -> bytes | None:
    answer = _ask(
        UNIX_REQUEST.pack(
            *(UNIX_REQUEST.size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0),
            *(socket.AF_UNIX, 0, 0, ALL_STATES, inode & 0xFFFFFFFF, show, *ANY_COOKIE),
        )
    )
    return answer if answer is not None and len(answer) >= UNIX_ANSWER_BYTES else None


def queue_in(answer: bytes) -> tuple[int, int] | None:
    """Length and limit in the kernel's answer about a Unix socket; None when it does not listen."""
    if len(answer) < UNIX_ANSWER_BYTES or answer[UNIX_STATE_OFFSET] != TCP_LISTEN:
        return None
    queue = _attribute(answer, UNIX_ANSWER_BYTES, UNIX_DIAG_RQLEN)
    return struct.unpack_from("=II", queue) if queue is not None and len(queue) >= 8 else None


def tcp_info(server: tuple[str, int], client: tuple[str, int]) -> bytes | None:
    """``struct tcp_info`` of the connection between two addresses, seen from *server*."""
    try:
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        addresses = [socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (server, client)]
        request = INET_REQUEST.pack(
            *(INET_REQUEST.size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0),
            *(family, socket.IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0, ALL_STATES),
            *(struct.pack("!HH", server[1], client[1]), *addresses, 0, *ANY_COOKIE),
        )
    except (OSError, ValueError, struct.error):
        return None
    answer = _ask(request)
    return _attribute(answer, INET_ANSWER_BYTES, INET_DIAG_INFO) if answer is not None else None


def _ask(request: bytes) -> bytes | None:
    """The kernel answers at once: a bare socket, which does not pass by gevent's hub either."""
    try:
        kernel = _socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        with contextlib.closing(kernel):
            kernel.settimeout(NETLINK_TIMEOUT_S)
            kernel.sendto(request, (0, 0))
            answer = kernel.recv(ANSWER_BYTES)
    except (OSError, AttributeError, ValueError):
        return None
    is_answer = len(answer) >= 6 and struct.unpack_from("=H", answer, 4)[0] == SOCK_DIAG_BY_FAMILY
    return answer if is_answer else None


def _attribute(answer: bytes, offset: int, wanted: int) -> bytes | None:
    """Value of a netlink attribute after the *offset* bytes of the answer's header."""
    while offset + ATTRIBUTE_HEADER_BYTES <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, offset)
        if length < ATTRIBUTE_HEADER_BYTES:
            return None
        if kind == wanted:
            return answer[offset + ATTRIBUTE_HEADER_BYTES : offset + length]
        offset += (length + 3) & ~3
    return None
