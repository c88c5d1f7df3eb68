"""Who sends webhooks. One class each; what is not recognised by any is not known."""

from applications.webhooks.senders.base import Headers, Payload, PushedImage, Sender
from applications.webhooks.senders.distribution import Distribution
from applications.webhooks.senders.docker_hub import DockerHub
from applications.webhooks.senders.ecr import Ecr
from applications.webhooks.senders.generic import Generic
from applications.webhooks.senders.github import GitHub
from applications.webhooks.senders.gitlab import GitLab
from applications.webhooks.senders.harbor import Harbor
from applications.webhooks.senders.quay import Quay

__all__ = ["ALL", "CI", "Headers", "Payload", "PushedImage", "Sender", "recognise"]

CI = Generic()
# Those that a header tells come first, and the most general one last.
ALL: tuple[Sender, ...] = (GitHub(), GitLab(), DockerHub(), Harbor(), Quay(), Ecr(), Distribution(), CI)


def recognise(headers: Headers, payload: Payload) -> Sender | None:
    """Whose payload this is."""
    return next((sender for sender in ALL if sender.recognises(headers, payload)), None)
