"""Sonatype Nexus Repository, which everybody runs on a host of their own."""

# Texts about secrets, none of them one.

from registries.kinds.base import Kind


class Nexus(Kind):
    """Nexus answers Docker on a connector's port of its own; observed, and in Sonatype's documentation."""

    slug = "nexus"
    name = "Nexus"
    summary = "Your own Sonatype Nexus, on its Docker connector's port."

    host_placeholder = "nexus.example.com:8082"
    host_help = (
        "The host with the port of the Docker connector. The port of the web pages will not do: there a "
        "login may even seem to succeed."
    )
    self_hosted = True
    customary_names = frozenset({"nexus"})

    username_placeholder = "deployer"
    username_help = "A user of Nexus, or the name of a user token."

    secret_name = "Password or user token"
    secret_help = "The user's password or the pass code of a user token."

    scope_help = "Give the user a role with browse and read on this Docker repository."
    credentials_help = (
        "Check the user and password in Nexus, and that the Docker Bearer Token realm is active under Security, Realms."
    )

    image_prefix_help = "The path before the image's name, if you use one."
    image_prefix_placeholder = "acme"
    example_image = "nexus.example.com:8082/acme/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return "https://help.sonatype.com/en/user-tokens.html"
