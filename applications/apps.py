from django.apps import AppConfig

_LABELS = {
    "cpus": "CPUs",
    "environment_names": "Environment",
    "memory_mb": "Memory (MiB)",
    "poll_minutes": "Minutes between looks for a new image",
}


class ApplicationsConfig(AppConfig):
    name = "applications"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from applications import restoring
        from applications import uses as uses_here
        from applications.models import Application, Project
        from applications.retention import rules
        from dokreg import retention
        from dokreg.backup import endings
        from organisations import audit_words, uses
        from registries import pullers
        from registries.models import Registry
        from servers.models import Server

        auditlog.register(Project, include_fields=["name", "description"])
        auditlog.register(
            Application,
            include_fields=[
                "name", "description", "project", "server", "registry", "image", "container_name", "ports", "volumes",
                "command", "environment_names", "environment_changed_at", "restart_policy", "network", "health_command",
                "memory_mb", "cpus", "order", "webhook_changed_at", "poll_minutes",
            ],
        )  # fmt: skip
        endings.register(restoring.end)
        retention.register(rules)
        pullers.register(uses_here.pulling_with, let_go=uses_here.let_go_of)
        uses.register(Registry, uses_here.of_registry)
        uses.register(Server, uses_here.of_server)
        for field, label in _LABELS.items():
            audit_words.register_label(Application, field, label)
        for field in ("ports", "volumes", "command", "environment_names"):
            audit_words.register_words(Application, field, _list_in_words)
        audit_words.register_words(Application, "poll_minutes", lambda text: "" if text == "0" else text)


def _list_in_words(text: str) -> str:
    """A list as people write it, as far as it can be read."""
    from applications.container_settings import in_words

    return in_words(text)
