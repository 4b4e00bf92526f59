from django.apps import AppConfig


class TidemarkConfig(AppConfig):
    """The one line of a user: ``INSTALLED_APPS += ["tidemark_django"]``."""

    name = "tidemark_django"
    verbose_name = "Tidemark"

    def ready(self) -> None:
        from tidemark_django import boot, findings

        boot.guarded("boot", boot.install)
        boot.guarded("findings", findings.register)
