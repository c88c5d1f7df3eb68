"""DigitalOcean's container registry."""

import re

from registries.kinds.base import Kind

_TOKEN = re.compile(r"do[opr]_v1_\w+")


class DigitalOcean(Kind):
    """The API token stands for user and password; the rules are from DigitalOcean's documentation."""

    slug = "digitalocean"
    name = "DigitalOcean"
    summary = "The registry of a DigitalOcean team."

    default_host = "registry.digitalocean.com"
    host_placeholder = "registry.digitalocean.com"
    host_help = "DigitalOcean's registry is registry.digitalocean.com."
    provider_hosts = re.compile(r"registry\.digitalocean\.com")

    username_placeholder = "the API token"
    username_help = (
        "DigitalOcean wants the API token as the user name as well. User names are shown to the members "
        "who may see this registry, so use a token that may only read the registry."
    )

    secret_name = "API token"
    secret_help = "A personal access token (dop_v1_…) with the scope registry:read."
    secret_life = "A token ends on the date that was chosen when it was made, if one was."

    scope_help = "The token needs the scope registry:read, and the first part of the path is the registry's name."
    credentials_help = (
        "Make an API token with the scope registry:read in the control panel under API, and enter it as "
        "the user name and as the password."
    )

    image_prefix_help = "The registry's name."
    image_prefix_placeholder = "acme"
    example_image = "registry.digitalocean.com/acme/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return "https://cloud.digitalocean.com/account/api/tokens"

    def warn_username(self, username: str) -> str | None:
        if _TOKEN.fullmatch(username):
            return "This is a token, and user names are shown to members. Use one that may only read the registry."
        return None

    def doubt_secret(self, secret: str, username: str) -> tuple[str, ...]:
        if _TOKEN.fullmatch(username) and username != secret.strip():
            return ("User name and password are different tokens. DigitalOcean wants the same one twice.",)
        return ()
