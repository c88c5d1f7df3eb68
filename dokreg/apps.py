from django.apps import AppConfig


class DokregConfig(AppConfig):
    name = "dokreg"

    def ready(self) -> None:
        from dokreg import celery, checks  # noqa: F401 - the app that tasks belong to; registers the checks
