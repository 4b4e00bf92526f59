from pathlib import Path

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
