"""Whether an image that was pushed is the one that an application runs: host, repository and tag, all three."""

from applications.webhooks.senders import PushedImage
from registries.references import InvalidHost, InvalidReference, Reference, compose


def matches(*, image: PushedImage, runs: Reference, home: str | None = None) -> bool:
    """Whether a push of `image` changes what `runs` names.

    Without a host in it, it is on `home`, the registry that its sender speaks for; without that, on the same as what
    runs. A reference with a digest is changed by no push, and a push without a tag changes no reference.
    """
    if not image.tag:
        return False
    hosts = (image.host, *image.aliases) if image.host else (home or runs.host,)
    return any(_reference(host, image.repository, image.tag) == runs for host in hosts)


def _reference(host: str, repository: str, tag: str) -> Reference | None:
    try:
        return compose(host=host, image_prefix="", image=f"{repository}:{tag}")
    except (InvalidHost, InvalidReference):
        return None
