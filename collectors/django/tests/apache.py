"""Apache with mod_wsgi, as Debian's ``apache2`` and ``libapache2-mod-wsgi-py3`` have it."""

import site
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.daemons import installed
from tests.serving import ROOT

MODULES: Final = Path("/usr/lib/apache2/modules")
CONFIGURATION: Final = """
LoadModule mpm_{mpm}_module {modules}/mod_mpm_{mpm}.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/mod_wsgi.so
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
DefaultRuntimeDir {folder}
ErrorLog /dev/stderr
WSGISocketPrefix {folder}/wsgi
User nobody
Group nogroup
ListenBacklog 64
<Directory {project}>
  Require all granted
</Directory>
{more}
"""
SCRIPT: Final = ROOT / "tests" / "project" / "wsgi.py"


def apache(folder: Path, mpm: str, *directives: str) -> list[str]:
    """
    Apache serving the test project. As root it serves as ``nobody``, who must be able to read this project.

    Args:
        directives: More lines of its configuration, in which ``{python_path}`` and ``{script}`` are known.
    """
    program = installed("apache2")
    module = MODULES / f"mod_wsgi.so-{sys.version_info[0]}.{sys.version_info[1]}"
    if not module.exists():
        pytest.skip(f"no {module}: mod_wsgi has the Python of Debian's")
    python_path = ":".join((str(ROOT), *site.getsitepackages()))
    more = "\n".join(directives).format(python_path=python_path, script=SCRIPT)
    folder.chmod(0o755)
    configuration = folder / "apache.conf"
    configuration.write_text(
        CONFIGURATION.format(mpm=mpm, modules=MODULES, folder=folder, project=SCRIPT.parent, more=more)
    )
    start = f"import os, sys; os.execv({program!r}, sys.argv)"
    return ["-c", start, "-f", str(configuration), "-C", "Listen 127.0.0.1:{port}", "-DFOREGROUND"]
