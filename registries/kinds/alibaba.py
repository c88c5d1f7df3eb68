"""Alibaba Cloud's container registry."""

import re

from registries.kinds.base import Kind

TEMPORARY_USERNAME = "cr_temp_user"


class Alibaba(Kind):
    """Accounts have a registry password of their own; the rules are from Alibaba Cloud's documentation."""

    slug = "alibaba"
    name = "Alibaba Cloud"
    summary = "Alibaba Cloud's Container Registry."

    host_placeholder = "registry.eu-central-1.aliyuncs.com"
    host_help = (
        "It is registry.REGION.aliyuncs.com, or the address that the console shows for the instance, which "
        "ends in .cr.aliyuncs.com."
    )
    provider_hosts = re.compile(
        r"registry(?:-intl)?(?:-vpc|-internal)?\.[a-z0-9-]+\.aliyuncs\.com|[a-z0-9-]+(?:\.[a-z0-9-]+)+\.cr\.aliyuncs\.com"
    )

    username_placeholder = "acme@example.com"
    username_help = "The full name of the Alibaba Cloud account or RAM user, or cr_temp_user with a temporary password."

    secret_name = "Registry password"
    secret_help = "The password set in the console under Access Credential, not the one of the console itself."
    secret_life = "The fixed password does not end; a temporary one (cr_temp_user) ends after 1 hour."

    scope_help = "The RAM user needs a policy that allows it to pull from this namespace and repository."
    credentials_help = (
        "Use the password set in the console under Access Credential; account and RAM users each have "
        "their own, and the console's password is refused. A temporary password ends after 1 hour."
    )

    image_prefix_help = "The registry's namespace."
    image_prefix_placeholder = "acme"
    example_image = "registry.eu-central-1.aliyuncs.com/acme/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return "https://cr.console.aliyun.com/"

    def life_hours(self, username: str) -> int | None:
        return 1 if username == TEMPORARY_USERNAME else None

    def warn_username(self, username: str) -> str | None:
        if username == TEMPORARY_USERNAME:
            return "The password of cr_temp_user ends after 1 hour."
        return None
