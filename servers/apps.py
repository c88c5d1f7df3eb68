from django.apps import AppConfig


class ServersConfig(AppConfig):
    name = "servers"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from servers.models import Server, SSHKey

        auditlog.register(SSHKey, include_fields=["name", "description", "public_key"])
        auditlog.register(
            Server,
            include_fields=["name", "description", "host", "port", "user", "ssh_key", "host_key", "seen_host_key"],
        )
