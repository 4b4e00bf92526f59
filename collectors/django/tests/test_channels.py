from contextlib import ExitStack

import pytest
from websockets.sync.client import connect

from tests.serving import Running, running, uvicorn
from tests.sink import Sink, mean, until

HOP = "tidemark.channels.layer.hop.duration"


def use_the_layer(server: Running) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/crowd/") as client:
        client.send("")
        assert client.recv() == "full"


@pytest.mark.measured
def test_a_hop_through_the_layer_is_measured_without_a_message_of_the_application(sink: Sink) -> None:
    with running(uvicorn(), sink) as server:
        use_the_layer(server)
        until(lambda: sum(point.count for point in sink.points(HOP, tidemark__resource__name="default")) >= 2)
        server.stop()
    assert 0 < mean(sink.points(HOP)) < 0.5
    # What the probe sends and takes again is in no count.
    assert max(point.value for point in sink.resource("waiting.max", "channel_layer", "default")) == 3
    sends = sink.points("tidemark.channels.layer.duration", tidemark__cache__operation="send")
    assert sum(point.count for point in sends) == 4


@pytest.mark.measured
def test_a_redis_layer_shows_its_hops_its_depth_and_full_channels(sink: Sink, redis: str) -> None:
    def waiting() -> list[float]:
        return [point.value for point in sink.resource("waiting.max", "channel_layer", "default")]

    def rejected() -> float:
        return sum(point.value for point in sink.resource("rejected", "channel_layer", "default"))

    with running(uvicorn(), sink, TEST_REDIS=redis) as server:
        use_the_layer(server)
        until(lambda: sum(point.count for point in sink.points(HOP)) >= 2)
        assert 0 < mean(sink.points(HOP)) < 0.5
        # What nobody reads is nobody's to take: it waits in Redis, and not for this process.
        assert set(waiting()) == {0}
        until(lambda: rejected() == 1)
        with connect(f"ws://127.0.0.1:{server.port}/crowd/") as client:
            client.send("own")
            assert client.recv() == "full"
            # One is in work, the others wait: in Redis, or in the process once the probe has read them.
            until(lambda: max(waiting()) >= 1)
            until(lambda: waiting()[-1] == 0)
        server.stop()
    assert max(waiting()) <= 3
    assert rejected() == 2
    assert not sink.points("tidemark.agent.errors")


def test_websockets_are_counted_by_the_consumer_that_serves_them(sink: Sink) -> None:
    def now(consumer: str) -> float | None:
        points = sink.points("tidemark.websocket.connections", tidemark__websocket__consumer=consumer)
        return max(points, key=lambda point: point.time_ns).value if points else None

    with running(uvicorn(), sink) as server:
        with ExitStack() as stack:
            for path in ("echo", "echo", "crowd"):
                stack.enter_context(connect(f"ws://127.0.0.1:{server.port}/{path}/"))
            until(lambda: now("tests.project.asgi.Echo") == 2)
            until(lambda: now("tests.project.asgi.Crowd") == 1)
        until(lambda: now("tests.project.asgi.Echo") == 0 and now("tests.project.asgi.Crowd") == 0)
        server.stop()
