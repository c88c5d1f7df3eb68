"""Azure Container Registry."""

import re

from registries.kinds.base import Kind

NULL_GUID = "00000000-0000-0000-0000-000000000000"
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Acr(Kind):
    """A registry in Azure, read by a service principal; the rules are from Azure's documentation."""

    slug = "acr"
    name = "Azure Container Registry"
    summary = "A registry in Azure, NAME.azurecr.io."

    host_placeholder = "acme.azurecr.io"
    host_help = "It is the registry's login server, such as acme.azurecr.io (in China .cn, for the US government .us)."
    provider_hosts = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\.azurecr\.(?:io|cn|us|de)")

    username_placeholder = "11111111-2222-3333-4444-555555555555"
    username_help = "The application (client) id of a service principal, or the name of a registry token."

    secret_name = "Client secret"
    secret_help = "The service principal's client secret: its value, not its id."
    secret_life = "A client secret ends on the date that was chosen when it was made, by default after a year or less."

    scope_help = (
        "Give the service principal the role AcrPull on the registry. If the registry allows only chosen "
        "networks, allow the server's address too."
    )
    credentials_help = (
        "The username is the application (client) id, the password the value of a client secret that has "
        "not ended; both are in Microsoft Entra, App registrations."
    )

    image_prefix_help = "The path before the repository's name, if your repositories have one."
    image_prefix_placeholder = "team"
    example_image = "acme.azurecr.io/team/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return "https://portal.azure.com/#view/Microsoft_AAD_RegisteredApps/ApplicationsListBlade"

    def warn_username(self, username: str) -> str | None:
        if username == NULL_GUID:
            return "With this username the password is a refresh token, which ends after 3 hours."
        if _GUID.fullmatch(username):
            return None
        return (
            "If this is the registry's admin account: everybody who has it shares it, and it may push and "
            "delete. A service principal with the role AcrPull is safer."
        )

    def doubt_secret(self, secret: str, username: str) -> tuple[str, ...]:
        if _GUID.fullmatch(secret.strip()) and username != NULL_GUID:
            return ("This looks like the id of a client secret. docker login wants its value.",)
        return ()
