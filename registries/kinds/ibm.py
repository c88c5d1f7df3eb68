"""IBM Cloud's container registry."""

import re

from registries.kinds.base import Kind


class Ibm(Kind):
    """The username says that the password is an API key; the rules are from IBM's documentation."""

    slug = "ibm"
    name = "IBM Cloud"
    summary = "A registry namespace in IBM Cloud, icr.io."

    default_host = "icr.io"
    host_placeholder = "de.icr.io"
    host_help = "It is icr.io or REGION.icr.io, such as de.icr.io."
    provider_hosts = re.compile(r"(?:[a-z0-9-]+\.)*icr\.io")

    username_fixed = "iamapikey"
    username_placeholder = "iamapikey"
    username_help = "iamapikey, with an API key as the password."

    secret_name = "API key"
    secret_help = "An IBM Cloud API key, best of a service ID that may only read the registry."

    scope_help = "Give the key's user or service ID the role Reader for Container Registry in the namespace's region."
    credentials_help = "Enter the username iamapikey and an API key that still exists in IBM Cloud."

    image_prefix_help = "The registry's namespace."
    image_prefix_placeholder = "acme"
    example_image = "de.icr.io/acme/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return "https://cloud.ibm.com/iam/apikeys"

    def warn_username(self, username: str) -> str | None:
        if username == self.username_fixed:
            return None
        return "With an API key the username is iamapikey. Other names belong to tokens that end soon."
