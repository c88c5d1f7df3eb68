from django.apps import AppConfig


class DokregConfig(AppConfig):
    name = "dokreg"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from dokreg import celery, checks  # noqa: F401 - the app that tasks belong to; registers the checks

        post_migrate.connect(checks.plant_canary, sender=self, dispatch_uid="plant the canary")
