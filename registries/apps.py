from django.apps import AppConfig


class RegistriesConfig(AppConfig):
    name = "registries"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from registries.models import Registry

        auditlog.register(
            Registry,
            include_fields=["name", "kind", "url", "username", "image_prefix", "server", "secret_changed_at"],
        )
