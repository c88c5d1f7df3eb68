"""Oracle's container registry (OCIR)."""

import re

from registries.kinds.base import Kind


class Ocir(Kind):
    """The username begins with the tenancy's namespace; the rules are from Oracle's documentation."""

    slug = "ocir"
    name = "Oracle (OCIR)"
    summary = "The registry of an Oracle Cloud tenancy."

    host_placeholder = "fra.ocir.io"
    host_help = "It is REGION.ocir.io, such as fra.ocir.io, or ocir.REGION.oci.oraclecloud.com."
    provider_hosts = re.compile(r"[a-z0-9-]+\.ocir\.io|ocir\.[a-z0-9-]+\.oci\.oraclecloud\.com")

    username_placeholder = "axabc12defgh/ann@example.com"
    username_help = (
        "NAMESPACE/USER, or NAMESPACE/oracleidentitycloudservice/USER for a federated user. The namespace "
        "is a random-looking name in the tenancy's details, not the tenancy's own name."
    )

    secret_name = "Auth token"
    secret_help = "An auth token of the user, made in the user's settings. The console's password is refused."

    scope_help = (
        "The user's group needs a policy that allows it to read repos in the tenancy or compartment, and "
        "the image's path begins with the tenancy's namespace."
    )
    credentials_help = (
        "The username is NAMESPACE/USER, with oracleidentitycloudservice/ before a federated user, and "
        "the password an auth token. The namespace stands in the tenancy's details."
    )

    image_prefix_help = "The tenancy's namespace and, if you use one, the path below it."
    image_prefix_placeholder = "axabc12defgh"
    example_image = "fra.ocir.io/axabc12defgh/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return "https://cloud.oracle.com/identity/domains/my-profile/auth-tokens"

    def warn_username(self, username: str) -> str | None:
        if "/" not in username:
            return "Oracle wants the tenancy's namespace and a slash before the user: NAMESPACE/USER."
        return None
