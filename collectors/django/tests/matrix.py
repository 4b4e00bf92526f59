"""
The tests on every supported Django and every supported Python of this machine.

``python tests/matrix.py [--list] [pytest arguments]``, from the package's folder. Makes an environment for each pair,
kept in ``TIDEMARK_MATRIX_DIR`` or the system's folder for temporary files, and prints a line for each. Exit code 1
when one fails, or when a Django has no Python here.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PYTHONS: Final = ("3.10", "3.11", "3.12", "3.13", "3.14")
# Source: Django's FAQ, "What Python version can I use with Django?".
DJANGOS: Final = {
    "4.2": ("3.10", "3.11", "3.12"),
    "5.2": ("3.10", "3.11", "3.12", "3.13", "3.14"),
    "6.0": ("3.12", "3.13", "3.14"),
}
# What the tests do not run: the checks of the source, and another instrumentation that the bench compares with.
NOT_NEEDED: Final = re.compile(r"^(django|django-stubs|django-stubs-ext|mypy|ruff|hatchling)==", re.IGNORECASE)


def interpreter(version: str) -> str | None:
    """A Python of this version, on the path or of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    for candidate in filter(None, candidates):
        answer = subprocess.run([candidate, "-c", "import venv"], capture_output=True, check=False)
        if answer.returncode == 0:
            return candidate
    return None


def pairs() -> Iterator[tuple[str, str, str]]:
    """Django, Python, and the interpreter."""
    found = {version: interpreter(version) for version in PYTHONS}
    for django, pythons in DJANGOS.items():
        for python in pythons:
            program = found[python]
            if program is not None:
                yield django, python, program


def environment(django: str, python: str, program: str) -> Path:
    """Folder of an environment with this package, its tests' requirements and that Django."""
    base = Path(os.environ.get("TIDEMARK_MATRIX_DIR", Path(tempfile.gettempdir(), "tidemark-matrix")))
    folder = base / f"django-{django}-python-{python}"
    lines = (ROOT / "requirements-test.txt").read_text().splitlines()
    wanted = "\n".join([line for line in lines if not NOT_NEEDED.match(line)] + [f"Django=={django}.*"])
    complete = folder / "complete"
    if not complete.exists() or complete.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([program, "-m", "venv", str(folder)], check=True)
        requirements = folder / "requirements.txt"
        requirements.write_text(wanted)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "-r", str(requirements), "-e", str(ROOT)], check=True)
        complete.write_text(wanted)
    return folder


def main(arguments: list[str]) -> int:
    failed = {django for django in DJANGOS if django not in {pair[0] for pair in pairs()}}
    for django in sorted(failed):
        print(f"Django {django}: no Python for it here")
    for django, python, program in pairs():
        name = f"Django {django}, Python {python}"
        if "--list" in arguments:
            print(name)
            continue
        folder = environment(django, python, program)
        done = subprocess.run(
            [str(folder / "bin" / "python"), "-m", "pytest", "-q", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = done.stdout.strip().splitlines()
        print(f"{name}: {lines[-1] if lines else done.stderr.strip()}", flush=True)
        if done.returncode != 0:
            failed.add(name)
            print("\n".join(line for line in lines if line.startswith(("FAILED", "ERROR", "E  "))), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
