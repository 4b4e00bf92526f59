from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class OpaquePool:
    """A thread pool that shows nothing but its methods, as another release of Python might have it."""

    def __init__(self, pool: Any) -> None:
        self.submit = pool.submit
        self.shutdown = pool.shutdown


class OpaqueThreadWorker(ThreadWorker):  # type: ignore[misc]
    """A gthread worker whose inside is not what the adapter knows."""

    def get_thread_pool(self) -> OpaquePool:
        return OpaquePool(super().get_thread_pool())
