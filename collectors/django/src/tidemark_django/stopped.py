"""
Stacks of other threads in an interpreter without its lock.

There a thread's frames change and are freed while another follows them, which may crash the process. CPython itself
can write them down while every thread stands still. Source: https://github.com/python/cpython/issues/128400.
"""

import faulthandler
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from typing import Final

HAS_SAFE_DUMP: Final = sys.version_info >= (3, 13, 2)
THREAD: Final = re.compile(r"(?:Current thread|Thread) 0x([0-9a-f]+)")
FRAME: Final = re.compile(r'  File "(.*)", line (\d+) in (.*)')


@dataclass(frozen=True)
class Place:
    """What is told of a frame's code object."""

    co_filename: str
    co_name: str


def stack_of(ident: int) -> list[tuple[Place, int]]:
    """
    Code and line of each frame of a thread, innermost first, at most 100.

    Empty when the thread is gone or not among the 100 youngest, and before CPython 3.13.2, which let threads run on.
    """
    return parse(_dump()).get(ident, []) if HAS_SAFE_DUMP else []


def _dump() -> str:
    make = getattr(os, "memfd_create", None)
    with open(make("tidemark"), "w+b") if make is not None else tempfile.TemporaryFile() as to:
        faulthandler.dump_traceback(to.fileno(), all_threads=True)
        to.seek(0)
        return to.read().decode("utf-8", "replace")


def parse(dump: str) -> dict[int, list[tuple[Place, int]]]:
    """
    The stacks of a dump by the identity of their thread.

    >>> parse('Thread 0x1f [pool] (most recent call first):\\n  File "/a/b.py", line 7 in view\\n  ...\\n')
    {31: [(Place(co_filename='/a/b.py', co_name='view'), 7)]}
    """
    found: dict[int, list[tuple[Place, int]]] = {}
    stack: list[tuple[Place, int]] = []
    for line in dump.splitlines():
        if thread := THREAD.match(line):
            stack = found.setdefault(int(thread.group(1), 16), [])
        elif frame := FRAME.fullmatch(line):
            path, number, name = frame.groups()
            stack.append((Place(path, name), int(number)))
    return found
