"""Which model lives in which database."""

from typing import Any

from shop.models import Event


class EventsRouter:
    """Send ``Event`` to the ``events`` database and leave the rest to the default."""

    def db_for_read(self, model: type[Any], **hints: Any) -> str | None:
        return "events" if model is Event else None

    def db_for_write(self, model: type[Any], **hints: Any) -> str | None:
        return "events" if model is Event else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        # sql/*.sql owns the tables of both databases.
        return False
