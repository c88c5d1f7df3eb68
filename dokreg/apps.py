from django.apps import AppConfig


class DokregConfig(AppConfig):
    name = "dokreg"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate, pre_migrate

        from dokreg import celery, checks, database  # noqa: F401 - celery: the app that tasks belong to

        pre_migrate.connect(database.lift_timeouts, sender=self, dispatch_uid="lift the timeouts")
        post_migrate.connect(checks.plant_canary, sender=self, dispatch_uid="plant the canary")
