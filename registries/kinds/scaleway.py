"""Scaleway's container registry."""

import re

from registries.kinds.base import Kind


class Scaleway(Kind):
    """The secret key says who one is, not the username; from Scaleway's documentation."""

    slug = "scaleway"
    name = "Scaleway"
    summary = "A registry namespace at Scaleway."

    host_placeholder = "rg.fr-par.scw.cloud"
    host_help = "It is rg.REGION.scw.cloud, such as rg.fr-par.scw.cloud."
    provider_hosts = re.compile(r"rg\.[a-z]{2}-[a-z]{3}\.scw\.cloud")

    username_fixed = "nologin"
    username_placeholder = "nologin"
    username_help = "Scaleway's documentation uses nologin; the secret key says who you are."

    secret_name = "Secret key"
    secret_help = "The secret key of an API key, which is shown once; not the access key (SCW…)."
    secret_life = "API keys expire on the date set when they were created, if any."

    scope_help = "The API key's owner needs the permission set ContainerRegistryReadOnly in the namespace's project."
    credentials_help = "Enter the username nologin and the secret key of an API key that has not ended."

    image_prefix_help = "The registry's namespace."
    image_prefix_placeholder = "acme"
    example_image = "rg.fr-par.scw.cloud/acme/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return "https://console.scaleway.com/iam/api-keys"

    def doubt_secret(self, secret: str, username: str) -> tuple[str, ...]:
        if re.fullmatch(r"SCW[A-Z0-9]{17}", secret.strip()):
            return ("This looks like an access key. docker login wants the secret key that belongs to it.",)
        return ()
