"""Harbor, in both of its formats: "Default", and CloudEvents since 2.8.

https://goharbor.io/docs/latest/working-with-projects/project-configuration/configure-webhooks/
"""

from applications.webhooks.senders.base import (
    Headers,
    Payload,
    PushedImage,
    Sender,
    object_at,
    objects_at,
    text_at,
)

PUSHES = ("PUSH_ARTIFACT", "harbor.artifact.pushed")


class Harbor(Sender):
    name = "Harbor"
    hint = (
        "Under Webhooks of the project, with notify type http, either payload format, and of the events only "
        "“Artifact pushed”. It cannot sign."
    )

    def recognises(self, headers: Headers, payload: Payload) -> bool:
        kind = text_at(payload, "type")
        return bool(kind.startswith("harbor.") or (kind.isupper() and object_at(payload, "event_data")))

    def images(self, headers: Headers, payload: Payload) -> list[PushedImage]:
        if text_at(payload, "type") not in PUSHES:
            return []
        event = object_at(payload, "event_data") or object_at(payload, "data")
        repository = text_at(event, "repository", "repo_full_name")
        return [
            PushedImage(
                text_at(resource, "resource_url").partition("/")[0] or None,
                repository,
                _tag(text_at(resource, "tag")),
                text_at(resource, "digest") or None,
            )
            for resource in objects_at(event, "resources")
        ]


def _tag(text: str) -> str | None:
    """What was pushed without a tag has its digest there."""
    return text if text and ":" not in text else None
