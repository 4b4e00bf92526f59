from collections import Counter
from typing import Final

import pytest

from tests.memcached import Memcached
from tests.serving import gunicorn, running
from tests.sink import Sink

DURATION: Final = "tidemark.cache.operation.duration"
DRIVERS: Final = [
    pytest.param("PyMemcacheCache", id="pymemcache"),
    pytest.param("PyLibMCCache", id="pylibmc", marks=pytest.mark.wide),
]


def memcached_project(driver: str, address: str) -> dict[str, str]:
    pytest.importorskip({"PyMemcacheCache": "pymemcache", "PyLibMCCache": "pylibmc"}[driver])
    return {"TEST_MEMCACHED": address, "TEST_CACHE": f"django.core.cache.backends.memcached.{driver}"}


def operations(sink: Sink) -> Counter[tuple[str, str | None]]:
    """Operations of the cache by name and failure."""
    counts: Counter[tuple[str, str | None]] = Counter()
    for point in sink.points(DURATION, tidemark__cache__alias="default"):
        counts[point.attributes["tidemark.cache.operation"], point.attributes.get("error.type")] += point.count
    return counts


def hits_and_misses(sink: Sink) -> tuple[float, float]:
    alias = {"tidemark__cache__alias": "default"}
    hits, misses = (
        sum(point.value for point in sink.points(f"tidemark.cache.{what}", **alias)) for what in ("hits", "misses")
    )
    return hits, misses


@pytest.mark.parametrize("backend", ["LocMemCache", "RedisCache"])
def test_cache_hits_and_misses(sink: Sink, request: pytest.FixtureRequest, backend: str) -> None:
    environment = {"TEST_REDIS": request.getfixturevalue("redis")} if backend == "RedisCache" else {}
    with running(gunicorn(), sink, **environment) as server:
        for _ in range(3):
            server.get("/cached/key/")
        server.stop()
    assert hits_and_misses(sink) == (2, 1)
    assert operations(sink) == {("get", None): 3, ("set", None): 1}
    assert {point.attributes["tidemark.cache.backend"] for point in sink.points(DURATION)} == {backend}


@pytest.mark.parametrize("driver", DRIVERS)
def test_memcached_counts_the_hits_and_misses_that_the_agent_tells(
    sink: Sink, memcached: Memcached, driver: str
) -> None:
    with running(gunicorn(), sink, **memcached_project(driver, memcached.address)) as server:
        for key in ("a", "b", "a", "a", "b"):
            assert server.get(f"/cached/{key}/")[0] == 200
        assert server.get("/cached-many/a-b-c/")[1] == b'{"a": "stored", "b": "stored"}'
        server.stop()
    counted = memcached.counts()
    assert hits_and_misses(sink) == (counted["get_hits"], counted["get_misses"]) == (5, 3)
    assert operations(sink) == {("get", None): 5, ("set", None): counted["cmd_set"], ("get_many", None): 1}
    assert counted["cmd_set"] == 2
    assert {point.attributes["tidemark.cache.backend"] for point in sink.points(DURATION)} == {driver}
    # Each operation is a round trip that took a while.
    assert all(point.zero == 0 for point in sink.points(DURATION))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_memcached_that_is_away_is_a_failure_for_each_request_that_failed(sink: Sink, driver: str) -> None:
    with running(gunicorn(), sink, **memcached_project(driver, "127.0.0.1:9")) as server:
        answers = [server.get("/cached/key/")[0] for _ in range(5)]
        server.stop()
    done = operations(sink)
    failures = {key: count for key, count in done.items() if key[1] is not None}
    assert 1 <= sum(failures.values()) == answers.count(500)
    assert {name for _, name in failures} <= {"ConnectionRefusedError", "HostError", "ConnectionError", "ServerDown"}
    # For a while after a failure a driver may answer by itself, and then nothing is found.
    assert hits_and_misses(sink) == (0, done["get", None])
