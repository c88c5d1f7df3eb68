"""Docker Hub: https://docs.docker.com/docker-hub/repos/manage/webhooks/

Its webhooks have one event, a push, and neither a signature nor a header that would tell them.
"""

from applications.webhooks.senders.base import Headers, Payload, PushedImage, Sender, object_at, text_at
from registries.references import DOCKER_HUB


class DockerHub(Sender):
    name = "Docker Hub"
    home = DOCKER_HUB
    hint = "On the page of the repository, under Webhooks, add one with the address above. It cannot sign."

    def recognises(self, headers: Headers, payload: Payload) -> bool:
        return bool(object_at(payload, "push_data") and text_at(payload, "repository", "repo_name"))

    def images(self, headers: Headers, payload: Payload) -> list[PushedImage]:
        repository = text_at(payload, "repository", "repo_name")
        return [PushedImage(None, repository, text_at(payload, "push_data", "tag") or None)]
