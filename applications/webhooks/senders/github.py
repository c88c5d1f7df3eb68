"""GitHub's container registry: the events `registry_package` and `package` of a repository or an organisation.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#registry_package for the payload, and
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries for X-Hub-Signature-256, which
receiving.py checks. An image of several platforms is announced once with its tag and again, without a tag, for each.
"""

from applications.webhooks.senders.base import Headers, Payload, PushedImage, Sender, object_at, text_at

EVENTS = ("registry_package", "package")
ACTIONS = ("published", "updated")


class GitHub(Sender):
    name = "GitHub"
    home = "ghcr.io"
    can_sign = True
    signs_like_github = True
    hint = (
        "Under Settings → Webhooks of the repository or organisation: the address above, content type "
        "application/json, the signing secret as its secret, and of the events only “Registry packages”."
    )
    silence = "It is no published container package."

    def recognises(self, headers: Headers, payload: Payload) -> bool:
        return bool(headers.get("X-GitHub-Event"))

    def images(self, headers: Headers, payload: Payload) -> list[PushedImage]:
        event = headers.get("X-GitHub-Event", "")
        if event not in EVENTS or text_at(payload, "action") not in ACTIONS:
            return []
        package = object_at(payload, event)
        if text_at(package, "package_type").upper() != "CONTAINER":
            return []
        tag = object_at(package, "package_version", "container_metadata", "tag")
        host, repository = _place(package)
        return [PushedImage(host, repository, text_at(tag, "name") or None, text_at(tag, "digest") or None)]


def _place(package: Payload) -> tuple[str | None, str]:
    """Host and repository: on a GitHub of one's own only the address of the version names the host."""
    url = text_at(package, "package_version", "package_url")
    host, slash, path = url.partition("/")
    if slash and "." in host:
        return host, path.partition("@")[0].partition(":")[0].lower()
    return None, f"{text_at(package, 'namespace')}/{text_at(package, 'name')}".lower()
