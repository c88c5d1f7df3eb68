from django.apps import AppConfig


class OrganisationsConfig(AppConfig):
    name = "organisations"

    def ready(self) -> None:
        from organisations import audit

        audit.register_models()
        audit.listen_to_sign_ins()
