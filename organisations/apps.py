from django.apps import AppConfig


class OrganisationsConfig(AppConfig):
    name = "organisations"

    def ready(self) -> None:
        from dokreg.doctor import checks
        from organisations import audit, diagnosis

        audit.register_models()
        audit.listen_to_sign_ins()
        checks.register("Background work", diagnosis.look_at_deliveries, needs=[checks.DATABASE])
