"""Any other registry that speaks the Registry HTTP API v2."""

from registries.kinds.base import Kind


class Generic(Kind):
    """Nothing is known but the protocol, so nothing is refused that Docker would take."""

    slug = "generic"
    name = "Other registry"
    summary = "Any registry that speaks the Registry HTTP API v2."

    host_placeholder = "registry.example.com:5000"
    host_help = "Host, or host and port, without https:// and without a path."
    self_hosted = True

    username_placeholder = "deployer"

    secret_help = "What whoever runs the registry gave you for docker login."

    image_prefix_help = "The path before the name of every image, if there is one."
    image_prefix_placeholder = "acme"
    example_image = "registry.example.com:5000/acme/web:1.4"

    def matches(self, host: str) -> bool:
        return True
