import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sink import until
from tidemark_django.quota import cpu_quota


def files(root: Path, **texts: str) -> None:
    root.mkdir(parents=True)
    for name, text in texts.items():
        (root / name.replace("__", ".")).write_text(text)


def test_a_quota_of_version_two_tells_its_limit_and_how_often_it_was_used_up(tmp_path: Path) -> None:
    stat = "usage_usec 9\nnr_periods 40\nnr_throttled 7\nthrottled_usec 1500000\n"
    files(tmp_path / "cgroup" / "web", cpu__max="150000 100000\n", cpu__stat=stat)
    groups = tmp_path / "groups"
    groups.write_text("0::/web\n")
    assert cpu_quota(tmp_path / "cgroup", groups) == {
        "tidemark.cgroup.cpu.limit": 1.5,
        "tidemark.cgroup.cpu.throttled_time": 1.5,
        "tidemark.cgroup.cpu.throttled_periods": 7,
        "tidemark.cgroup.cpu.periods": 40,
    }


def test_a_quota_of_version_one_is_found_by_its_controller(tmp_path: Path) -> None:
    stat = "nr_periods 10\nnr_throttled 2\nthrottled_time 250000000\n"
    folder = tmp_path / "cgroup" / "cpu,cpuacct" / "web"
    files(folder, cpu__cfs_quota_us="50000\n", cpu__cfs_period_us="100000\n", cpu__stat=stat)
    groups = tmp_path / "groups"
    groups.write_text("4:cpu,cpuacct:/web\n0::/\n")
    found = cpu_quota(tmp_path / "cgroup", groups)
    assert found is not None
    assert found["tidemark.cgroup.cpu.limit"] == 0.5
    assert found["tidemark.cgroup.cpu.throttled_time"] == 0.25


def test_without_a_quota_there_is_nothing(tmp_path: Path) -> None:
    files(tmp_path / "cgroup", cpu__max="max 100000\n")
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "none") is None


GROWING = ("periods", "throttled_periods", "throttled_time")
GROUPS_V1 = Path("/sys/fs/cgroup/cpu")
BURN = """
import json, os, sys, time
from pathlib import Path
from tidemark_django import kernel, quota

Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
before = quota.cpu_quota()
end = time.monotonic() + 20
# Ten periods, each of which a computing process wants to use up.
while (told := quota.cpu_quota())["tidemark.cgroup.cpu.periods"] < before["tidemark.cgroup.cpu.periods"] + 10:
    assert time.monotonic() < end, told
print(json.dumps([before, told, kernel.usable_cores()]))
"""


@pytest.fixture
def limited() -> Iterator[Path]:
    """A control group of this machine that may use a fifth of a core."""
    name = f"tidemark-test-{os.getpid()}"
    version_one, version_two = GROUPS_V1 / name, Path("/sys/fs/cgroup", name)
    group = version_one if GROUPS_V1.is_dir() else version_two
    try:
        group.mkdir()
        if group is version_one:
            (group / "cpu.cfs_quota_us").write_text("20000")
        else:
            (group / "cpu.max").write_text("20000 100000")
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"this machine's control groups cannot be written: {error}")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def test_a_quota_of_this_machine_is_told_as_the_kernel_enforces_it(limited: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BURN, str(limited)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, told, cores = json.loads(done.stdout)
    assert told["tidemark.cgroup.cpu.limit"] == pytest.approx(0.2)
    assert cores == pytest.approx(0.2)
    grown = {name: told[f"tidemark.cgroup.cpu.{name}"] - before[f"tidemark.cgroup.cpu.{name}"] for name in GROWING}
    assert 0 < grown["throttled_periods"] <= grown["periods"]
    assert grown["throttled_time"] > 0
    # What the kernel had counted when the process had ended is no less.
    fields = dict(line.split() for line in (limited / "cpu.stat").read_text().splitlines())
    assert told["tidemark.cgroup.cpu.throttled_periods"] <= int(fields["nr_throttled"])
    assert told["tidemark.cgroup.cpu.periods"] <= int(fields["nr_periods"])
