"""The container's quota of processor time, and how often it was used up. Nothing where there is none."""

from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
GROUPS: Final = Path("/proc/self/cgroup")
QUOTA_LIMIT: Final = "tidemark.cgroup.cpu.limit"
US_PER_S: Final = 1e6
NS_PER_S: Final = 1e9


def cpu_quota(root: Path = ROOT, groups: Path = GROUPS) -> dict[str, float] | None:
    """
    Values of the metrics ``tidemark.cgroup.cpu.*`` by name: the limit in cores, the others since the group was made.

    In a container its own group is the root of what it sees; elsewhere the process's path leads to it.
    """
    unified, cpu = _group_paths(groups)
    for path in dict.fromkeys((unified, "")):
        quota, _, period = _text(root / path / "cpu.max").strip().partition(" ")
        if quota not in ("", "max"):
            return _with_statistics(root / path, float(quota) / float(period), "throttled_usec", US_PER_S)
    for path in dict.fromkeys((cpu, "")):
        for controller in ("cpu", "cpu,cpuacct"):
            folder = root / controller / path
            limit = float(_text(folder / "cpu.cfs_quota_us") or -1)
            if limit > 0:
                period_us = float(_text(folder / "cpu.cfs_period_us") or 100_000)
                return _with_statistics(folder, limit / period_us, "throttled_time", NS_PER_S)
    return None


def _group_paths(groups: Path) -> tuple[str, str]:
    """The process's group of version 2 (``0::/path``) and of version 1's cpu controller (``4:cpu,cpuacct:/path``)."""
    unified = cpu = ""
    for line in _text(groups).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            unified = path.strip("/")
        elif "cpu" in controllers.split(","):
            cpu = path.strip("/")
    return unified, cpu


def _with_statistics(folder: Path, limit: float, time_field: str, per_second: float) -> dict[str, float]:
    fields = dict(line.split(" ", 1) for line in _text(folder / "cpu.stat").splitlines() if " " in line)
    return {
        QUOTA_LIMIT: limit,
        "tidemark.cgroup.cpu.throttled_time": float(fields.get(time_field, 0)) / per_second,
        "tidemark.cgroup.cpu.throttled_periods": float(fields.get("nr_throttled", 0)),
        "tidemark.cgroup.cpu.periods": float(fields.get("nr_periods", 0)),
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
