import time
from dataclasses import dataclass
from typing import Final

from tidemark_django import frames, kernel, semconv, victims
from tidemark_django.agent import Agent
from tidemark_django.agg import AttributeValue
from tidemark_django.encode import Event
from tidemark_django.frames import Stack
from tidemark_django.loop import LoopWatch
from tidemark_django.request import RequestState

LOOP_BLOCK_S: Final = 0.1
LOOP_REPORT_S: Final = 1.0
FULL_S: Final = 0.5
"""How long a pool must be full while others wait before it is asked what keeps it."""
KEEPER_PERIOD_S: Final = 1.0
MIN_KEPT_S: Final = 0.1
NOTICE_S: Final = 0.5
"""How long before a worker is killed it tells what it is doing."""
CPU_SHARE: Final = 0.5
MAX_EVENTS_PER_INTERVAL: Final = 20
NS_PER_S: Final = 1e9


class StallWatch:
    """
    Catches who stands still: requests older than the limit, loops that do not answer their probe, and who keeps a pool
    that is full while others wait for it.

    A block of a loop is sampled once when it is 0.1 s old, reported when it ends, and before that when it is a second
    old. Events about one stall have one time, its begin.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._sent = 0
        self._blocks: dict[int, Block] = {}
        self._cpu: dict[int, tuple[float, float]] = {}
        self._warned: set[RequestState] = set()
        self._given_up: RequestState | None = None
        self._keeper: RequestState | None = None
        self._next_keeper = 0.0

    def new_interval(self) -> None:
        """Allows the next interval's events."""
        self._sent = 0

    def tick(self) -> None:
        """Looks once. From the agent's thread."""
        now = time.perf_counter()
        limit, given_up_after = self._agent.config.slow_request, self._agent.request_limit
        for state in list(self._agent.requests.values()):
            age = now - state.start
            if given_up_after is not None:
                self._look_at_limit(state, age, given_up_after)
            if age >= limit * (1 + 4 * state.stalls) and state.stalls < 3:
                state.stalls += self._sample_request(state, now)
            elif age >= limit / 2 and state.seen is None and state.thread_id is not None:
                state.seen = _processor_time(self._native_id(state.thread_id), now)
        for loop in self._agent.loops:
            self._look_at(loop)
        self._sample_keeper(now)

    def _sample_keeper(self, now: float) -> None:
        """The oldest request of those that keep a full pool while others wait, at most one each second."""
        resource = self._agent.request_resource
        if resource is None or resource.full_for < FULL_S or now < self._next_keeper:
            return
        oldest = min(list(self._agent.requests.values()), key=lambda state: state.start, default=None)
        if oldest is None or oldest is self._keeper or oldest.stalls or now - oldest.start < MIN_KEPT_S:
            return
        held_up = victims.of_resource(resource, oldest.start)
        if held_up is not None and not held_up.count:
            return
        self._next_keeper = now + KEEPER_PERIOD_S
        if self._sample_request(oldest, now, held_up):
            self._keeper = oldest

    def _look_at_limit(self, state: RequestState, age: float, limit: float) -> None:
        """
        The server kills this worker within two seconds of the limit, and it will not be able to say anything then.

        What it is doing is told shortly before, that it timed out when it has: it may end in between. Each request is
        told once, the worker counts once, as it is killed once, for however many of its requests.
        """
        ident, threads = state.thread_id, self._agent.threads
        if age < limit - NOTICE_S or ident is None or threads is None:
            return
        if state not in self._warned:
            self._warned = {state, *(earlier for earlier in self._warned if not earlier.finished)}
            report_given_up(self._agent, frames.of_thread(ident), state)
            threads.export_soon()
        elif age >= limit and (self._given_up is None or self._given_up.finished):
            self._given_up = state
            self._agent.count("tidemark.worker.timeouts")
            threads.export_soon()

    def _sample_request(self, state: RequestState, now: float, held_up: victims.Victims | None = None) -> bool:
        """Whether a request's thread could be looked at."""
        ident = state.thread_id
        if ident is None:
            return False
        stack = frames.of_thread(ident)
        if not stack or state.finished or state.thread_id != ident:
            return False
        resource = self._agent.request_resource
        kind, name = (resource.kind, resource.name) if resource is not None else ("", "")
        held_up = held_up or victims.of_resource(resource, state.start)
        if state.asynchronous:
            # A thread of its own: nobody waits for it.
            kind, name, held_up = "executor", "asgiref.context", victims.Victims(0, ())
        thread = self._native_id(ident)
        before, state.seen = state.seen, _processor_time(thread, now)
        computed = None
        if before is not None and state.seen is not None and now > before[0]:
            computed = (state.seen[1] - before[1]) / (now - before[0])
        why = _reason(stack, thread, computed)
        self._report(kind, name, Stall(state.start, stack, now - state.start, why, state, held_up))
        return True

    def _look_at(self, loop: LoopWatch) -> None:
        age = loop.beat_age()
        running = self._running_share(loop)
        block = self._blocks.get(id(loop))
        if age >= LOOP_BLOCK_S:
            if block is None:
                block = self._blocks[id(loop)] = self._new_block(loop, running)
            block.age = age
            if age >= LOOP_REPORT_S and not block.reported:
                block.reported = True
                self._report_block(loop, block, ended=False)
        elif block is not None:
            del self._blocks[id(loop)]
            self._report_block(loop, block, ended=True)

    def _new_block(self, loop: LoopWatch, running: float | None) -> "Block":
        began = time.perf_counter() - loop.beat_age()
        stack = frames.of_thread(loop.thread_id)
        if frames.application_frame(stack) is None and (running is None or running < CPU_SHARE):
            # The loop has nothing to run and still does not answer: it gets no core, or no interpreter lock.
            return Block(began, stack, "starved", None)
        culprit = victims.running_request(self._agent, loop)
        return Block(began, stack, _reason(stack, loop.native_id, running), culprit)

    def _report_block(self, loop: LoopWatch, block: "Block", *, ended: bool) -> None:
        held_up = victims.of_loop(self._agent, block.began, block.began + block.age, block.culprit)
        stall = Stall(block.began, block.stack, block.age, block.why, block.culprit, held_up, ended)
        self._report("event_loop", loop.resource.name, stall)

    def _running_share(self, loop: LoopWatch) -> float | None:
        """Share of a core the loop's thread used since the last look."""
        times = kernel.thread_times(loop.native_id)
        if times is None:
            return None
        now = (time.perf_counter(), times[0])
        last = self._cpu.get(id(loop))
        self._cpu[id(loop)] = now
        return (now[1] - last[1]) / (now[0] - last[0]) if last is not None and now[0] > last[0] else None

    def _native_id(self, ident: int) -> int | None:
        return self._agent.native_ids.get(ident) or kernel.native_id(ident)

    def _report(self, kind: str, name: str, stall: "Stall") -> None:
        if self._sent >= MAX_EVENTS_PER_INTERVAL:
            self._agent.count("tidemark.agent.dropped", (semconv.TIDEMARK_DROPPED_REASON, "stalls_per_interval"))
            return
        self._sent += 1
        report(self._agent, kind, name, stall)


def _processor_time(thread: int | None, now: float) -> tuple[float, float] | None:
    """The moment, and the seconds a thread of the kernel has computed until then."""
    times = kernel.thread_times(thread) if thread is not None else None
    return (now, times[0]) if times is not None else None


@dataclass
class Block:
    """A loop that does not answer: its stack when it was first seen, and the request whose task it is in."""

    began: float
    stack: Stack
    why: str
    culprit: RequestState | None
    age: float = 0.0
    reported: bool = False


@dataclass(frozen=True)
class Stall:
    """What stands still since *began*, *age* seconds, why, in which request, and whom it holds up (None: not known)."""

    began: float
    stack: Stack
    age: float
    why: str
    state: RequestState | None
    held_up: victims.Victims | None = None
    ended: bool = False


def _reason(stack: Stack, thread: int | None, computed: float | None) -> str:
    """
    Why a thread stands still. *computed* is the share of the time it used a core.

    A thread that waits for the interpreter lock stands in the same system call as one that waits for any other.
    """
    kernel_says = kernel.stands_in(thread) if thread is not None else None
    if kernel_says == "running" or (computed is not None and computed > CPU_SHARE and kernel_says in (None, "lock")):
        return "cpu"
    if kernel_says is not None:
        return kernel_says
    why = frames.reason(stack)
    return "sleep" if why == "unknown" and computed is not None else why


def report_timeout(agent: Agent, stack: Stack, state: RequestState | None) -> None:
    """Counts a worker that its server ends for a time-out, and says what it was doing, and in which request."""
    agent.count("tidemark.worker.timeouts")
    report_given_up(agent, stack, state)


def report_given_up(agent: Agent, stack: Stack, state: RequestState | None) -> None:
    """Says what a worker that its server gives up is doing."""
    age = time.perf_counter() - state.start if state is not None else 0.0
    resource = agent.request_resource
    kind, name = (resource.kind, resource.name) if resource is not None else ("worker", agent.server.name)
    report(agent, kind, name, Stall(time.perf_counter() - age, stack, age, frames.reason(stack), state))


def report(agent: Agent, kind: str, name: str, stall: Stall) -> None:
    """Queues the event ``tidemark.stall``."""
    attributes: dict[str, AttributeValue] = {
        semconv.TIDEMARK_STALL_REASON: stall.why,
        semconv.TIDEMARK_STALL_LATE: False,
        semconv.TIDEMARK_STALL_DURATION: stall.age,
        semconv.TIDEMARK_STALL_ENDED: stall.ended,
        semconv.CODE_STACKTRACE: frames.folded(stall.stack),
        **(stall.held_up.attributes() if stall.held_up is not None else {}),
    }
    if kind:
        attributes[semconv.TIDEMARK_RESOURCE_KIND] = kind
        attributes[semconv.TIDEMARK_RESOURCE_NAME] = name
    culprit = frames.application_frame(stall.stack)
    if culprit is not None:
        attributes[semconv.CODE_FUNCTION_NAME] = frames.name_of(culprit[0])
        attributes[semconv.CODE_FILE_PATH] = frames.short_path(culprit[0].co_filename)
        attributes[semconv.CODE_LINE_NUMBER] = culprit[1]
    trace_id = span_id = 0
    if stall.state is not None:
        trace_id, span_id = stall.state.ids()
        pattern = stall.state.pattern_now()
        if pattern is not None:
            attributes[semconv.HTTP_ROUTE] = agent.route(pattern)
    where = frames.site(culprit) if culprit is not None else name or "an unknown place"
    body = f"{kind or 'request'} stood still for {stall.age:.2f} s at {where}"
    # The same to the nanosecond for all events about one stall: two clocks read again would not agree.
    began_ns = agent.clock_ns + int(stall.began * NS_PER_S)
    agent.event(Event(semconv.EVENT_TIDEMARK_STALL, began_ns, attributes, body, trace_id, span_id))
