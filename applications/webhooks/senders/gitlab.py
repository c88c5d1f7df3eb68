"""GitLab's project and group webhooks: https://docs.gitlab.com/user/project/integrations/webhook_events/

None of them is sent for an image, and those of pipelines and jobs do not name one, so that nothing can be deployed by
them. What names images are the notifications of GitLab's registry, which the administrator of a GitLab of one's own can
send elsewhere (https://docs.gitlab.com/administration/packages/container_registry/#configure-container-registry-notifications):
those have the shape of distribution.py, and are read there.
"""

from applications.webhooks.senders.base import Headers, Payload, PushedImage, Sender


class GitLab(Sender):
    name = "GitLab"
    hint = (
        "Its webhooks do not name an image: let the job that pushes call the address with curl, as above. On a GitLab "
        "of one’s own the registry’s notifications do as well, as of any registry of the distribution project."
    )
    silence = "GitLab’s webhooks do not name an image. Let the job that pushes call this address instead."

    def recognises(self, headers: Headers, payload: Payload) -> bool:
        return bool(headers.get("X-Gitlab-Event"))

    def images(self, headers: Headers, payload: Payload) -> list[PushedImage]:
        return []
