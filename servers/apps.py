from django.apps import AppConfig


class ServersConfig(AppConfig):
    name = "servers"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from dokreg import retention
        from dokreg.backup import endings
        from dokreg.doctor import checks
        from dokreg.metrics import families
        from servers import diagnosis, restoring
        from servers.models import Server, SSHKey
        from servers.retention import rules

        auditlog.register(SSHKey, include_fields=["name", "description", "public_key"])
        endings.register(restoring.end)
        retention.register(rules)
        auditlog.register(
            Server,
            include_fields=["name", "description", "host", "port", "user", "ssh_key", "host_key", "seen_host_key"],
        )
        checks.register("Background work", diagnosis.look_at_runs, needs=[checks.DATABASE])
        checks.register("Servers", diagnosis.look_at_servers, needs=[checks.DATABASE])
        families.register("runs", diagnosis.count_runs)
        families.register("servers", diagnosis.count_servers)
