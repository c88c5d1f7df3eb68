"""Docker Hub."""

import re

from registries.kinds.base import Kind
from registries.kinds.docker_hub_api import HubListing


class DockerHub(Kind):
    """Docker's own registry, which the CLI also takes for an image without a host."""

    slug = "docker_hub"
    name = "Docker Hub"
    summary = "Images without a host in their name, such as acme/web."

    tells_quota = True
    default_host = "docker.io"
    host_placeholder = "docker.io"
    host_help = "Docker Hub is docker.io; its other names lead dokreg there as well."
    provider_hosts = re.compile(r"docker\.io")

    username_placeholder = "acme-bot"
    username_help = (
        "Your Docker ID, not your e-mail address. For an organisation access token, the organisation's name."
    )

    secret_name = "Access token"
    secret_help = (
        "A personal access token (dckr_pat_…) with the right to read, or an organisation access token (dckr_oat_…)."
    )
    secret_life = "Tokens expire on the date set when they were created, if any."

    scope_help = (
        "Check the repository's name, that the token may read it (an organisation access token lists its "
        "repositories), and that the account is in a team with read access to it."
    )
    credentials_help = (
        "Use the Docker ID, not the e-mail address, and an access token from Account settings, Personal "
        "access tokens; with two-factor or single sign-on a password is refused. With an organisation "
        "access token the username is the organisation's name."
    )

    image_prefix_help = "Your Docker ID or organisation, put before the name of every image."
    image_prefix_placeholder = "acme"
    example_image = "acme/web:1.4"

    def api_host(self, host: str) -> str:
        return "registry-1.docker.io" if self.is_provider_host(host) else host

    def listing(self) -> HubListing:
        return HubListing()

    def secret_url(self, host: str) -> str | None:
        return "https://app.docker.com/settings/personal-access-tokens"

    def warn_username(self, username: str) -> str | None:
        if "@" in username:
            return "Docker Hub wants the Docker ID here. With an e-mail address the login is often refused."
        return None

    def doubt_secret(self, secret: str, username: str) -> tuple[str, ...]:
        if secret.startswith("dckr_oat_"):
            return ("With an organisation access token the username must be the organisation's name.",)
        return ()
