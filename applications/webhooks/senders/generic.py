"""What a CI job of one's own sends: `{"image": "ghcr.io/acme/web:1.4"}` or `{"repository": "acme/web", "tag": "1.4"}`.

`image` is read by Docker's rules, so that one without a host is on Docker Hub and one without a tag is `latest`.
A repository may be written with its host or without; then it is taken to be on the application's own. A `digest` may
be named with either. The shape is dokreg's own.
"""

from applications.webhooks.senders.base import Headers, Payload, PushedImage, Sender, text_at
from registries.references import InvalidReference, parse


class Generic(Sender):
    name = "CI"
    can_sign = True
    hint = "Any job that can send a POST: see the commands above."
    silence = "What it names is no image."

    def recognises(self, headers: Headers, payload: Payload) -> bool:
        return bool(text_at(payload, "image") or text_at(payload, "repository"))

    def images(self, headers: Headers, payload: Payload) -> list[PushedImage]:
        digest = text_at(payload, "digest") or None
        if not text_at(payload, "image"):
            return [PushedImage(None, text_at(payload, "repository"), text_at(payload, "tag") or None, digest)]
        try:
            named = parse(text_at(payload, "image"))
        except InvalidReference:
            return []
        return [PushedImage(named.host, named.path, named.tag, named.digest or digest)]
