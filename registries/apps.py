from django.apps import AppConfig


class RegistriesConfig(AppConfig):
    name = "registries"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from organisations import audit_words
        from registries.models import Registry

        auditlog.register(
            Registry,
            include_fields=["name", "kind", "url", "username", "image_prefix", "server", "secret_changed_at"],
        )
        audit_words.register_words(Registry, "kind", _provider_name)
        for field, label in {"name": "Registry Name", "url": "Registry URL", "image_prefix": "Image Prefix"}.items():
            audit_words.register_label(Registry, field, label)


def _provider_name(slug: str) -> str:
    """The provider's name; a slug that is none any more speaks for itself."""
    from registries import kinds

    try:
        return kinds.get(slug).name
    except kinds.UnknownKind:
        return slug
