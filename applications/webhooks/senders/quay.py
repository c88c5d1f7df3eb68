"""Quay: the notification "Push to Repository", sent as a webhook POST.

https://docs.redhat.com/en/documentation/red_hat_quay/3/html/use_red_hat_quay/repository-notifications
Older versions sent the tags as an object of tag → id of the image. The payload names the host in `docker_url`.
"""

from applications.webhooks.senders.base import Headers, Payload, PushedImage, Sender, text_at


class Quay(Sender):
    name = "Quay"
    hint = "Under Settings → Notifications of the repository: “Push to Repository”, Webhook POST. It cannot sign."

    def recognises(self, headers: Headers, payload: Payload) -> bool:
        return bool(text_at(payload, "docker_url") and text_at(payload, "homepage"))

    def images(self, headers: Headers, payload: Payload) -> list[PushedImage]:
        host, _, repository = text_at(payload, "docker_url").partition("/")
        tags = payload.get("updated_tags")
        names = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list | dict) else []
        return [PushedImage(host, repository, tag) for tag in names]
