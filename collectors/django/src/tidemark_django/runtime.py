"""
The one agent of this process, or None: before it serves, after a fork, when disabled.

Hooks are installed where Django is loaded, which may be a master that forks later. They look here each time, so a
hook costs one attribute read where nothing is measured.
"""

import os

from tidemark_django.agent import Agent
from tidemark_django.request import current_request

agent: Agent | None = None


def _forget() -> None:
    global agent
    agent = None
    current_request.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
