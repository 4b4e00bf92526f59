"""Tidemark's agent for Django: add ``"tidemark_django"`` to ``INSTALLED_APPS``, nothing else."""

from typing import Final

__version__: Final = "0.1.0"
