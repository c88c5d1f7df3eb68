"""GitHub's container registry."""

import re

from registries.kinds.base import Kind


class Ghcr(Kind):
    """ghcr.io; the rules are from GitHub's documentation of its container registry."""

    slug = "ghcr"
    name = "GitHub (GHCR)"
    summary = "Packages of GitHub users and organisations on ghcr.io."

    default_host = "ghcr.io"
    host_placeholder = "ghcr.io"
    host_help = "GitHub's container registry is ghcr.io."
    provider_hosts = re.compile(r"(?:ghcr\.io|containers\.[a-z0-9-]+\.ghe\.com)")

    username_placeholder = "octocat"
    username_help = "The GitHub login that made the token."

    secret_name = "Personal access token (classic)"
    secret_help = "A classic token (ghp_…) with the scope read:packages. Fine-grained tokens are refused by GHCR."
    secret_life = "Tokens expire on the date set when they were created, if any."

    scope_help = (
        "The token needs the scope read:packages, and its user needs read access to the package. If the "
        "organisation uses single sign-on, authorise the token for it. An expired token is refused in the "
        "same words, so check its date too."
    )
    credentials_help = (
        "Make a classic personal access token with the scope read:packages at GitHub, Settings, Developer "
        "settings, and enter it here with the login of its user."
    )

    no_catalogue = "GitHub lists packages only on its pages: look there under Packages of the user or organisation."

    image_prefix_help = "The user or organisation that owns the packages, in lower case."
    image_prefix_placeholder = "acme"
    example_image = "ghcr.io/acme/web:1.4"

    def secret_url(self, host: str) -> str | None:
        if host != self.default_host:
            return None
        return "https://github.com/settings/tokens/new?scopes=read:packages&description=dokreg"

    def warn_username(self, username: str) -> str | None:
        if "@" in username:
            return "GitHub wants the login here, the name in your profile's address, not the e-mail address."
        return None

    def doubt_secret(self, secret: str, username: str) -> tuple[str, ...]:
        if secret.startswith("github_pat_"):
            return ("This is a fine-grained token, which GHCR refuses. Make a classic one with read:packages.",)
        if secret.startswith("ghs_"):
            return ("This is the token of a GitHub app or workflow, which ends within the hour.",)
        return ()
