from bench.soak import soak
from tidemark_django.agent import MAX_ROUTES

MIB = 1024 * 1024


def test_every_request_is_received_or_told_as_lost_while_workers_and_the_ingest_come_and_go() -> None:
    figures = soak(requests=3000, urls=20_000, recycle=400, period=1.5)
    assert figures["answered"] == 3000
    assert figures["served"] >= 3000
    assert figures["unaccounted"] == 0
    assert figures["received"] > 0
    assert figures["workers"] >= 3
    assert figures["most_routes"] <= MAX_ROUTES + 1
    assert figures["agent_errors"] == 0
    assert figures["problems"] == []
    assert figures["growth_bytes"] < 20 * MIB
