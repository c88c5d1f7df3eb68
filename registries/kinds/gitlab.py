"""GitLab's container registry, on gitlab.com and on one's own host."""

import re

from registries.kinds.base import Kind


class GitLab(Kind):
    """The registry that comes with GitLab; the rules are from GitLab's documentation."""

    slug = "gitlab"
    name = "GitLab"
    summary = "The registry of gitlab.com or of your own GitLab."

    default_host = "registry.gitlab.com"
    host_placeholder = "registry.gitlab.com"
    host_help = "registry.gitlab.com, or the address and port of your own GitLab's registry."
    provider_hosts = re.compile(r"registry\.gitlab\.com")
    self_hosted = True
    customary_names = frozenset({"gitlab"})

    username_placeholder = "gitlab+deploy-token-123"
    username_help = (
        "The name that GitLab shows with the deploy token, such as gitlab+deploy-token-123. With a "
        "personal access token, your username."
    )

    secret_name = "Deploy token or access token"
    secret_help = "A deploy token or an access token with the scope read_registry."
    secret_life = "Tokens expire on the date set when they were created, if any."

    scope_help = (
        "The token needs the scope read_registry and must belong to this project or to a group above it; a "
        "user needs at least the role Reporter in a private project."
    )
    credentials_help = (
        "Make a deploy token (project or group, Settings, Repository) or an access token with the scope "
        "read_registry. An account's password is refused when it has two-factor authentication."
    )

    image_prefix_help = "The path of the group or project; images live below their project."
    image_prefix_placeholder = "acme/shop"
    example_image = "registry.gitlab.com/acme/shop/web:1.4"

    def matches(self, host: str) -> bool:
        return super().matches(host) or host.startswith("registry.gitlab.")

    def secret_url(self, host: str) -> str | None:
        if not self.is_provider_host(host):
            return None
        return "https://gitlab.com/-/user_settings/personal_access_tokens?name=dokreg&scopes=read_registry"

    def doubt_secret(self, secret: str, username: str) -> tuple[str, ...]:
        if secret.startswith("glrt-"):
            return ("This is a runner's token, which the registry refuses. Make a deploy token.",)
        return ()
