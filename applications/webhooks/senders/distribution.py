"""The notifications of a registry of the distribution project, GitLab's among them: many events in one envelope.

https://distribution.github.io/distribution/about/notifications/
Layers are pushed as well, and have no tag. `request.host` is the registry as the client that pushed has called it.
"""

from applications.webhooks.senders.base import Headers, Payload, PushedImage, Sender, objects_at, text_at


class Distribution(Sender):
    name = "Registry notifications"
    hint = (
        "An endpoint under notifications in the registry’s configuration, with the actions “pull” ignored. "
        "It cannot sign."
    )

    def recognises(self, headers: Headers, payload: Payload) -> bool:
        return any(text_at(event, "target", "repository") for event in objects_at(payload, "events"))

    def images(self, headers: Headers, payload: Payload) -> list[PushedImage]:
        return [
            PushedImage(
                text_at(event, "request", "host") or None,
                text_at(event, "target", "repository"),
                text_at(event, "target", "tag"),
                text_at(event, "target", "digest") or None,
            )
            for event in objects_at(payload, "events")
            if text_at(event, "action") == "push" and text_at(event, "target", "tag")
        ]
