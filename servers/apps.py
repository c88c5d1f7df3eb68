from django.apps import AppConfig


class ServersConfig(AppConfig):
    name = "servers"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from dokreg import retention
        from dokreg.backup import endings
        from servers import restoring
        from servers.models import Server, SSHKey
        from servers.retention import rules

        auditlog.register(SSHKey, include_fields=["name", "description", "public_key"])
        endings.register(restoring.end)
        retention.register(rules)
        auditlog.register(
            Server,
            include_fields=["name", "description", "host", "port", "user", "ssh_key", "host_key", "seen_host_key"],
        )
