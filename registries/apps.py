import ast
from typing import Any

from django.apps import AppConfig


class RegistriesConfig(AppConfig):
    name = "registries"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from dokreg import retention
        from dokreg.backup import endings
        from dokreg.doctor import checks
        from dokreg.metrics import families
        from organisations import audit_words
        from registries import diagnosis, restoring
        from registries.models import Registry
        from registries.retention import rules
        from servers.signals import server_moved

        auditlog.register(
            Registry,
            include_fields=[
                "name", "kind", "url", "username", "method", "account", "image_prefix", "server", "secret_ends_on",
                "secret_changed_at",
            ],
        )  # fmt: skip
        endings.register(restoring.end)
        retention.register(rules)
        server_moved.connect(_follow, dispatch_uid="logins follow a server")
        audit_words.register_words(Registry, "account", _account_in_words)
        audit_words.register_words(Registry, "kind", _provider_name)
        for field, label in {"name": "Registry Name", "url": "Registry URL", "image_prefix": "Image Prefix"}.items():
            audit_words.register_label(Registry, field, label)
        for look in (diagnosis.look_at_tokens, diagnosis.look_at_secrets, diagnosis.look_at_logins):
            checks.register("Registries", look, needs=[checks.DATABASE])
        families.register("tokens", diagnosis.count_tokens)
        families.register("logins", diagnosis.count_logins)


def _follow(server: Any, **_: Any) -> None:
    from registries import logins

    logins.follow_moved(server)


def _account_in_words(text: str) -> str:
    """What a method knows of an account, without what was left empty."""
    try:
        account = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
    return ", ".join(str(value) for value in account.values() if value) if isinstance(account, dict) else text


def _provider_name(slug: str) -> str:
    """The provider's name; a slug that is none any more speaks for itself."""
    from registries import kinds

    try:
        return kinds.get(slug).name
    except kinds.UnknownKind:
        return slug
