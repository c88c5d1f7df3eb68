"""May this account pull this image? The daemon is asked, without pulling.

`GET /distribution/{name}/json` of the Docker Engine API makes the daemon fetch the manifest as a pull would: with
its certificates, mirrors and proxies. Nothing is written on the server, the credentials are a header of the request.
"""

from registries.references import Reference
from servers import engine
from servers.docker import Host

PULL_DEADLINE = 40.0


class PullRefused(Exception):
    """The daemon could not get the manifest; `words` are its own, or the registry's."""

    def __init__(self, words: str) -> None:
        super().__init__("the manifest could not be fetched")
        self.words = words


def check_pull_right(host: Host, *, reference: Reference, registry: str, username: str, password: str) -> str:
    """The digest that a pull would get. Raises PullRefused, or ssh.SSHProblem."""
    auth = engine.registry_auth(registry=registry, username=username, password=password)
    with engine.connect(host, deadline=PULL_DEADLINE) as daemon:
        try:
            answer = daemon.manifest(str(reference), auth=auth)
        except engine.EngineRefused as error:
            raise PullRefused(error.words) from error
        except engine.EngineGone as error:
            raise PullRefused("The Docker daemon gave no answer about this image.") from error
    return str(answer.get("Descriptor", {}).get("digest", "")) if isinstance(answer, dict) else ""
