"""Whom a stall holds up: requests on the same loop, or those that queue for the thread it keeps."""

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from tidemark_django import semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import AttributeValue
from tidemark_django.loop import LoopWatch
from tidemark_django.request import RequestState
from tidemark_django.saturation import Resource

MAX_ROUTES_TOLD: Final = 5


@dataclass(frozen=True)
class Victims:
    """How many, and what each lost in seconds with its route; *losses* is None where only their number is known."""

    count: int
    losses: tuple[tuple[str | None, float], ...] | None

    def attributes(self) -> dict[str, AttributeValue]:
        told: dict[str, AttributeValue] = {semconv.TIDEMARK_STALL_VICTIMS: self.count}
        if self.losses is not None:
            told[semconv.TIDEMARK_STALL_VICTIMS_LOST_TIME] = sum(lost for _, lost in self.losses)
        if self.losses:
            told[semconv.TIDEMARK_STALL_VICTIMS_ROUTES] = json.dumps(self._by_route())
        return told

    def _by_route(self) -> list[dict[str, Any]]:
        routes: dict[str | None, list[float]] = {}
        for route, lost in self.losses or ():
            routes.setdefault(route, []).append(lost)
        worst = sorted(routes.items(), key=lambda entry: -sum(entry[1]))[:MAX_ROUTES_TOLD]
        return [
            {**({"route": route} if route is not None else {}), "requests": len(lost), "lost": round(sum(lost), 4)}
            for route, lost in worst
        ]


def of_loop(agent: Agent, since: float, until: float, culprit: RequestState | None) -> Victims | None:
    """
    The other requests of the process's loop, which cannot go on, less those whose sync code runs in a thread.

    Under gevent every request is a greenlet of the hub. None with several loops.
    """
    if len(agent.loops) != 1:
        return None
    held = [
        state
        for state in list(agent.requests.values())
        if state is not culprit and state.start < until and _on_loop(agent, state)
    ]
    return Victims(len(held), tuple((_route(agent, state), until - max(since, state.start)) for state in held))


def of_resource(resource: Resource | None, since: float) -> Victims | None:
    """Requests that wait for a thread or worker while the stalled one keeps one of them, and all are kept."""
    reading = resource.read() if resource is not None else None
    if resource is None or reading is None or reading.capacity is None or reading.busy is None:
        return None
    if reading.busy < reading.capacity:
        return Victims(0, ())
    if resource.waiting_since is not None:
        return Victims(*_lost(resource.waiting_since(), since))
    return Victims(int(reading.waiting), None) if reading.waiting is not None else None


def _lost(stamps: Iterable[float], since: float) -> tuple[int, tuple[tuple[None, float], ...]]:
    now = time.perf_counter()
    losses = tuple((None, now - max(since, stamp)) for stamp in stamps)
    return len(losses), losses


def running_request(agent: Agent, loop: LoopWatch) -> RequestState | None:
    """The request whose task or greenlet the loop is in now, if it is in one."""
    if not agent.thread_clock:
        return next((state for state in list(agent.requests.values()) if _is_running(state.task)), None)
    task = asyncio.current_task(loop.loop) if isinstance(loop.loop, asyncio.AbstractEventLoop) else None
    if task is None:
        return None
    return next((state for state in list(agent.requests.values()) if state.task == id(task)), None)


def _on_loop(agent: Agent, state: RequestState) -> bool:
    return not agent.thread_clock or (state.asynchronous and state.thread_id is None)


def _is_running(greenlet: Any) -> bool:
    """A greenlet's frame is its thread's while it runs; one that is switched out keeps its own."""
    return bool(greenlet) and greenlet.gr_frame is None


def _route(agent: Agent, state: RequestState) -> str | None:
    pattern = state.pattern_now()
    return agent.route(pattern) if pattern is not None else None
