import pytest

from tests.serving import gunicorn, running, uvicorn
from tests.sink import Sink, mean, quantile

GTHREAD = gunicorn("--worker-class", "gthread", "--threads", "4")
DURATION = "tidemark.http.server.middleware.duration"


def own_times(sink: Sink) -> dict[str, float]:
    names = {point.attributes["tidemark.middleware.name"] for point in sink.points(DURATION)}
    return {name: mean(sink.points(DURATION, tidemark__middleware__name=name)) for name in names}


@pytest.mark.measured
@pytest.mark.parametrize(("command", "path"), [(GTHREAD, "/sleep/200/"), (uvicorn(), "/async-sleep/200/")])
def test_each_middleware_shows_its_own_time_sync_and_async(sink: Sink, command: list[str], path: str) -> None:
    with running(command, sink, TEST_MIDDLEWARE="1", TIDEMARK_MIDDLEWARE="1") as server:
        for _ in range(9):
            server.get(path)
        server.stop()
    times = own_times(sink)
    middle = {name: quantile(sink.points(DURATION, tidemark__middleware__name=name), 0.5) for name in times}
    assert set(times) == {
        "django.middleware.common.CommonMiddleware",
        "tests.project.middleware.Outer",
        "tests.project.middleware.inner",
    }
    assert middle["tests.project.middleware.Outer"] == pytest.approx(0.03, abs=0.012)
    assert middle["tests.project.middleware.inner"] == pytest.approx(0.02, abs=0.012)
    assert middle["django.middleware.common.CommonMiddleware"] < 0.01
    route = {"http__route": path.replace("200", "<int:milliseconds>")}
    phases = {
        phase: mean(sink.points("tidemark.http.server.phase.duration", tidemark__phase=phase, **route))
        for phase in ("middleware", "view", "send")
    }
    everywhere = sink.points("tidemark.http.server.phase.duration", tidemark__phase="middleware")
    assert mean(everywhere) == pytest.approx(sum(times.values()), rel=0.05)
    assert phases["view"] >= 0.2
    whole = mean(sink.points("http.server.request.duration", **route))
    assert sum(phases.values()) == pytest.approx(whole, rel=0.01)


@pytest.mark.measured
def test_a_query_of_a_middleware_is_its_time_but_the_phase_of_the_database(sink: Sink, postgres: str) -> None:
    environment = {"TEST_MIDDLEWARE": "1", "TIDEMARK_MIDDLEWARE": "1", "TEST_POSTGRES": postgres}
    with running(GTHREAD, sink, **environment, TEST_CONN_MAX_AGE="60") as server:
        server.hammer("/sleep/1/?query=1", clients=1, rounds=6)
        server.stop()
    route = {"http__route": "/sleep/<int:milliseconds>/"}
    phase = "tidemark.http.server.phase.duration"
    own = sink.points(DURATION, tidemark__middleware__name="tests.project.middleware.Outer")
    assert quantile(own, 0.5) >= 0.077
    assert mean(sink.points(phase, tidemark__phase="db", **route)) >= 0.05
    # What the middleware took is its phase and its query's, of all requests: no moment is in both.
    times = sum(point.value for point in sink.points(DURATION))
    phases = [point.value for name in ("middleware", "db") for point in sink.points(phase, tidemark__phase=name)]
    assert sum(phases) == pytest.approx(times, rel=0.02)


def test_middleware_is_timed_only_where_it_is_asked_for(sink: Sink) -> None:
    with running(GTHREAD, sink, TEST_MIDDLEWARE="1") as server:
        server.get("/sleep/1/")
        server.stop()
    assert sink.points("http.server.request.duration")
    assert not sink.points(DURATION)
    assert not sink.points("tidemark.http.server.phase.duration", tidemark__phase="middleware")


@pytest.mark.measured
def test_a_cached_fragment_is_a_hit_or_a_miss_with_its_price(sink: Sink) -> None:
    with running(GTHREAD, sink) as server:
        for key in ("one", "one", "two"):
            server.get(f"/fragments/{key}/")
        server.stop()

    def count(metric: str, name: str) -> float:
        points = sink.points(f"tidemark.template.fragment.{metric}", tidemark__template__fragment=name)
        return sum(point.value for point in points)

    # The outer fragment hides the inner one once it is cached.
    assert (count("misses", "outer-fragment"), count("hits", "outer-fragment")) == (1, 2)
    assert (count("misses", "inner-fragment"), count("hits", "inner-fragment")) == (1, 0)
    price = sink.points("tidemark.template.fragment.render.duration", tidemark__template__fragment="inner-fragment")
    assert 0.05 <= mean(price) < 0.15


def test_a_template_of_jinja2_is_timed_as_one_of_django_is(sink: Sink) -> None:
    with running(GTHREAD, sink) as server:
        for _ in range(2):
            assert server.get("/jinja/")[1] == b"a part"
        server.stop()
    rendered = sink.points("tidemark.template.render.duration")
    # What it includes is part of it.
    assert {point.attributes["tidemark.template.name"] for point in rendered} == {"outer.jinja"}
    assert sum(point.count for point in rendered) == 2
    assert mean(rendered) >= 0.05
    phase = sink.points("tidemark.http.server.phase.duration", http__route="/jinja/", tidemark__phase="template")
    assert mean(phase) == pytest.approx(mean(rendered), rel=0.01)
