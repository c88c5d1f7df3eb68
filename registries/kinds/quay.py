"""Red Hat Quay, on quay.io and on one's own host."""

# Texts about secrets, none of them one.

import re

from registries.kinds.base import Kind, page_on


class Quay(Kind):
    """Quay's robots are the accounts for servers; the rules are from Quay's documentation."""

    slug = "quay"
    name = "Quay"
    summary = "quay.io or your own Red Hat Quay."

    default_host = "quay.io"
    host_placeholder = "quay.io"
    host_help = "quay.io, or the address of your own Quay."
    provider_hosts = re.compile(r"quay\.io")
    self_hosted = True
    customary_names = frozenset({"quay"})

    username_placeholder = "acme+puller"
    username_help = "The robot's full name: the organisation or user, a plus sign, the robot."

    secret_name = "Robot token"
    secret_help = "The token of a robot account with read permission. It does not end by itself."

    scope_help = "Give the robot read permission on the repository: Robot Accounts, or the repository's settings."
    credentials_help = (
        "The username is the robot's full name, such as acme+puller, and the password its token. If the "
        "token was made anew, the old one no longer works."
    )

    image_prefix_help = "The organisation or user that owns the repositories."
    image_prefix_placeholder = "acme"
    example_image = "quay.io/acme/web:1.4"

    def secret_url(self, host: str) -> str | None:
        if self.is_provider_host(host):
            return "https://docs.quay.io/glossary/robot-accounts.html"
        return page_on(host, "/")

    def warn_username(self, username: str) -> str | None:
        if "@" in username:
            return "Quay wants a username or a robot's full name such as acme+puller, not an e-mail address."
        return None
