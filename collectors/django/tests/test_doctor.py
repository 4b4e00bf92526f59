import subprocess
import sys

import pytest

from tests.sink import Sink
from tidemark_django.doctor.inbox import Inbox
from tidemark_django.doctor.run import compare


def doctor(endpoint: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "tidemark_django", "doctor"],
        env={"TIDEMARK_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "x-team=a"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.measured
def test_the_doctor_measures_what_it_injects_and_reaches_the_ingest(sink: Sink) -> None:
    code, lines = doctor(sink.url)
    assert (code, [line for line in lines if not line.startswith("ok")]) == (0, [])
    assert len(lines) == 10
    assert any("ran 7 times" in line and "doctor_project.py:" in line for line in lines)
    assert sink.headers[-1]["x-team"] == "a"


@pytest.mark.measured
def test_an_ingest_that_cannot_be_reached_is_exit_code_1() -> None:
    code, lines = doctor("http://127.0.0.1:9")
    assert code == 1
    assert [line.split()[1] for line in lines if line.startswith("FAIL")] == ["ingest"]


@pytest.mark.parametrize("queued", [0.5, 5.0])
def test_an_agent_that_measured_nothing_fails_every_check(queued: float) -> None:
    assert not any(check.good for check in compare(Inbox(), queued, slept=0.2))
