from django.apps import AppConfig


class OrganisationsConfig(AppConfig):
    name = "organisations"

    def ready(self) -> None:
        from dokreg import retention
        from dokreg.backup import endings
        from dokreg.doctor import checks
        from organisations import audit, diagnosis, restoring
        from organisations.retention import rules

        audit.register_models()
        audit.listen_to_sign_ins()
        endings.register(restoring.end)
        retention.register(rules)
        checks.register("Background work", diagnosis.look_at_deliveries, needs=[checks.DATABASE])
