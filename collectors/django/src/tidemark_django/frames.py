"""Reading stacks by hand: code objects and line numbers only, never local variables, never source lines."""

import os
import sys
import sysconfig
from types import CodeType, FrameType
from typing import Final

from tidemark_django import stopped
from tidemark_django.native import gil_enabled

Code = CodeType | stopped.Place
"""A frame's code, or what is told of it."""
Stack = list[tuple[Code, int]]
"""Code and line of each frame, innermost first."""

MAX_DEPTH: Final = 64
COMPREHENSIONS: Final = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"})
MAX_FOLDED: Final = 4096
OWN_FOLDER: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep
STDLIB: Final = tuple({sysconfig.get_path("stdlib") + os.sep, sysconfig.get_path("platstdlib") + os.sep})
IO_FILES: Final = ("psycopg", "socket.py", "ssl.py", "selectors.py", "http/client.py", "urllib3", "redis")
IO_NAMES: Final = frozenset(
    {"select", "poll", "recv", "recv_into", "readinto", "send", "sendall", "connect", "execute"}
)

_application_files: dict[str, bool] = {}


def is_application(path: str) -> bool:
    """Whether a file is the user's own: not the standard library, not an installed package, not the agent."""
    known = _application_files.get(path)
    if known is None:
        known = not (
            path.startswith(("<", OWN_FOLDER, *STDLIB))
            or "site-packages" in path
            or "dist-packages" in path
            or "/bin/" in path
        )
        if len(_application_files) < 5000:
            _application_files[path] = known
    return known


def walk(frame: FrameType | None, limit: int = MAX_DEPTH) -> Stack:
    """The stack of the calling thread, or with the interpreter lock held of any, from *frame* outwards."""
    found: Stack = []
    while frame is not None and len(found) < limit:
        found.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return found


def of_thread(ident: int) -> Stack:
    """Stack of another thread, empty when it is gone."""
    if not gil_enabled():
        return [*stopped.stack_of(ident)[:MAX_DEPTH]]
    return walk(sys._current_frames().get(ident))


def application_frame(stack: Stack) -> tuple[Code, int] | None:
    """
    The user's innermost frame.

    A comprehension has a frame of its own before Python 3.12: its line counts, under its function's name.
    """
    line: int | None = None
    for code, here in stack:
        if is_application(code.co_filename):
            line = here if line is None else line
            if code.co_name not in COMPREHENSIONS:
                return code, line
    return None


def nearest_application_frame(frame: FrameType | None) -> tuple[CodeType, int] | None:
    """As :func:`application_frame` of the stack from *frame* outwards, without looking further than it must."""
    line: int | None = None
    depth = 0
    while frame is not None and depth < MAX_DEPTH:
        code = frame.f_code
        if is_application(code.co_filename):
            line = frame.f_lineno if line is None else line
            if code.co_name not in COMPREHENSIONS:
                return code, line
        frame = frame.f_back
        depth += 1
    return None


def site(entry: tuple[Code, int]) -> str:
    """``folder/file.py:12 function``."""
    code, line = entry
    return f"{short_path(code.co_filename)}:{line} {name_of(code)}"


def short_path(path: str) -> str:
    """The last two parts of a path: enough to find the file, without the machine's layout."""
    return "/".join(path.replace("\\", "/").rsplit("/", 2)[-2:])


def name_of(code: Code) -> str:
    return getattr(code, "co_qualname", code.co_name)


def folded(stack: Stack) -> str:
    """Frames joined by ``;``, innermost last, at most 4 KiB: the outer ones are cut."""
    text = ";".join(f"{name_of(code)} ({short_path(code.co_filename)}:{line})" for code, line in reversed(stack))
    return text if len(text) <= MAX_FOLDED else "..." + text[3 - MAX_FOLDED :]


def reason(stack: Stack) -> str:
    """
    Why a thread stands still, judged by its innermost frames: ``io``, ``lock``, else ``unknown``.

    For where the kernel does not tell. C functions have no frame: a sleep cannot be told from computing here.
    """
    for code, _ in stack[:3]:
        path = code.co_filename
        if path.endswith("threading.py") and code.co_name in {"wait", "acquire", "join", "_wait_for_tstate_lock"}:
            return "lock"
        if code.co_name in IO_NAMES or any(part in path for part in IO_FILES):
            return "io"
    return "unknown"
