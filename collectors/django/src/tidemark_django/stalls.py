import time
from types import CodeType, FrameType
from typing import Final

from tidemark_django import frames, kernel, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import AttributeValue
from tidemark_django.encode import Event
from tidemark_django.loop import LoopWatch
from tidemark_django.request import RequestState, current_request

LOOP_BLOCK_S: Final = 0.1
LOOP_REPORT_S: Final = 1.0
CPU_SHARE: Final = 0.5
MAX_EVENTS_PER_INTERVAL: Final = 20
Stack = list[tuple[CodeType, int]]


class StallWatch:
    """
    Catches who stands still: requests older than the limit, and loops that do not answer their probe.

    A block of a loop is sampled once when it is 0.1 s old and reported when it ends or is a second old.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._sent = 0
        self._blocks: dict[int, tuple[Stack, float, bool, str]] = {}
        self._cpu: dict[int, tuple[float, float]] = {}

    def new_interval(self) -> None:
        """Allows the next interval's events."""
        self._sent = 0

    def tick(self) -> None:
        """Looks once. From the sampler thread."""
        now = time.perf_counter()
        limit = self._agent.config.slow_request
        for state in list(self._agent.requests.values()):
            age = now - state.start
            if age >= limit * (1 + 4 * state.stalls) and state.stalls < 3:
                self._sample_request(state, age)
        for loop in self._agent.loops:
            self._look_at(loop)

    def _sample_request(self, state: RequestState, age: float) -> None:
        ident = state.thread_id
        if ident is None:
            return
        stack = frames.of_thread(ident)
        if not stack or state.finished or state.thread_id != ident:
            return
        state.stalls += 1
        resource = self._agent.request_resource
        kind, name = (resource.kind, resource.name) if resource is not None else ("", "")
        if state.asynchronous:
            kind, name = "executor", "asgiref.context"
        why = frames.reason(stack)
        if why == "unknown" and state.cpu_start is not None:
            thread = kernel.native_id(ident)
            times = kernel.thread_times(thread) if thread is not None else None
            if times is not None:
                why = "cpu" if times[0] - state.cpu_start > age * CPU_SHARE else "sleep"
        self._report(kind, name, stack, age, why, state)

    def _look_at(self, loop: LoopWatch) -> None:
        age = loop.beat_age()
        running = self._running_share(loop)
        key = id(loop)
        known = self._blocks.get(key)
        if age >= LOOP_BLOCK_S:
            if known is None:
                stack = frames.of_thread(loop.thread_id)
                why = frames.reason(stack)
                if frames.application_frame(stack) is None and (running is None or running < CPU_SHARE):
                    # The loop has nothing to run and still does not answer: it gets no core, or no interpreter lock.
                    why = "starved"
                elif why == "unknown" and running is not None:
                    why = "cpu" if running > CPU_SHARE else "sleep"
                known = (stack, age, False, why)
            stack, _, reported, why = known
            if age >= LOOP_REPORT_S and not reported:
                self._report("event_loop", loop.resource.name, stack, age, why, None)
                reported = True
            self._blocks[key] = (stack, age, reported, why)
        elif known is not None:
            del self._blocks[key]
            if not known[2]:
                self._report("event_loop", loop.resource.name, known[0], known[1], known[3], None)

    def _running_share(self, loop: LoopWatch) -> float | None:
        """Share of a core the loop's thread used since the last look."""
        times = kernel.thread_times(loop.native_id)
        if times is None:
            return None
        now = (time.perf_counter(), times[0])
        last = self._cpu.get(id(loop))
        self._cpu[id(loop)] = now
        return (now[1] - last[1]) / (now[0] - last[0]) if last is not None and now[0] > last[0] else None

    def _report(self, kind: str, name: str, stack: Stack, age: float, why: str, state: RequestState | None) -> None:
        if self._sent >= MAX_EVENTS_PER_INTERVAL:
            self._agent.count("tidemark.agent.dropped", (semconv.TIDEMARK_DROPPED_REASON, "stalls_per_interval"))
            return
        self._sent += 1
        report(self._agent, kind, name, stack, age, why, state)


def report_timeout(agent: Agent, frame: FrameType | None) -> None:
    """Counts a worker that its server ends for a time-out, and says what its main thread was doing."""
    agent.count("tidemark.worker.timeouts")
    stack = frames.walk(frame)
    state = current_request.get()
    age = time.perf_counter() - state.start if state is not None else 0.0
    resource = agent.request_resource
    kind, name = (resource.kind, resource.name) if resource is not None else ("worker", agent.server.name)
    report(agent, kind, name, stack, age, frames.reason(stack), state)


def report(agent: Agent, kind: str, name: str, stack: Stack, age: float, why: str, state: RequestState | None) -> None:
    """Queues the event ``tidemark.stall``: *stack* of what stood still for *age* seconds, and *why*."""
    attributes: dict[str, AttributeValue] = {
        semconv.TIDEMARK_STALL_REASON: why,
        semconv.TIDEMARK_STALL_LATE: False,
        semconv.TIDEMARK_STALL_DURATION: age,
        semconv.CODE_STACKTRACE: frames.folded(stack),
    }
    if kind:
        attributes[semconv.TIDEMARK_RESOURCE_KIND] = kind
        attributes[semconv.TIDEMARK_RESOURCE_NAME] = name
    culprit = frames.application_frame(stack)
    if culprit is not None:
        attributes[semconv.CODE_FUNCTION_NAME] = frames.name_of(culprit[0])
        attributes[semconv.CODE_FILE_PATH] = frames.short_path(culprit[0].co_filename)
        attributes[semconv.CODE_LINE_NUMBER] = culprit[1]
    trace_id = span_id = 0
    if state is not None:
        trace_id, span_id = state.ids()
        pattern = state.pattern_now()
        route = agent.route(pattern) if pattern is not None else None
        if route is not None:
            attributes[semconv.HTTP_ROUTE] = route
    where = frames.site(culprit) if culprit is not None else name or "an unknown place"
    body = f"{kind or 'request'} stood still for {age:.2f} s at {where}"
    agent.event(Event(semconv.EVENT_TIDEMARK_STALL, time.time_ns(), attributes, body, trace_id, span_id))
