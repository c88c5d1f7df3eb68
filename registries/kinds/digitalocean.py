"""DigitalOcean's container registry."""

import re

from registries.kinds.base import Kind


class DigitalOcean(Kind):
    """The API token stands for user and password; the rules are from DigitalOcean's documentation."""

    slug = "digitalocean"
    name = "DigitalOcean"
    summary = "The registry of a DigitalOcean team."

    default_host = "registry.digitalocean.com"
    host_placeholder = "registry.digitalocean.com"
    host_help = "DigitalOcean's registry is registry.digitalocean.com."
    provider_hosts = re.compile(r"registry\.digitalocean\.com")

    username_is_secret = True
    username_placeholder = "the API token stands for it"
    username_help = "Leave it empty: DigitalOcean wants the API token as the username as well, and dokreg sends it so."

    secret_name = "API token"
    secret_help = "A personal access token (dop_v1_…) with the scope registry:read."
    secret_life = "Tokens expire on the date set when they were created, if any."

    scope_help = "The token needs the scope registry:read, and the first part of the path is the registry's name."
    credentials_help = (
        "Make an API token with the scope registry:read in the control panel under API, and enter it as the password."
    )

    image_prefix_help = "The registry's name."
    image_prefix_placeholder = "acme"
    example_image = "registry.digitalocean.com/acme/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return "https://cloud.digitalocean.com/account/api/tokens"
