"""What can go wrong with an application's container, why, and what to do about it.

The texts by which the daemon's own refusals are recognised were observed with Docker 20.10 and 28.
"""

from servers.verdicts import Verdict, recognise, row, said

_ROWS = (
    row(
        "no_space",
        r"no space left on device|disk quota exceeded",
        cause="The disk of {server} is full, so Docker could not store the image or the container.",
        fix="Make room there (docker system prune removes what nothing uses), then deploy again.",
        permanent=False,
        subject="server",
    ),
    row(
        "port_taken",
        r"port is already allocated|address already in use",
        cause="Something else on {server} has one of the ports already.",
        fix="Choose another port, or end what has it: docker ps and ss -ltnp show it there.",
        permanent=True,
        subject="server",
    ),
    row(
        "network_missing",
        r"network (?P<network>\S+) not found",
        cause="There is no network of that name on {server}.",
        fix="Make it there with docker network create, or choose another in the application's settings.",
        permanent=True,
        subject="server",
    ),
    row(
        "command_missing",
        r"executable file not found|no such file or directory.*unable to start container process"
        r"|unable to start container process.*no such file or directory|no command specified",
        cause="The image has no such command to start.",
        fix="Check the command in the application's settings, and what the image brings.",
        permanent=True,
        subject="image",
    ),
    row(
        "mount_refused",
        r"invalid mount config|error while creating mount source path|mounts denied|read-only file system",
        cause="A volume could not be mounted on {server}.",
        fix="Check the folder's path and rights there; a folder on a read-only disk cannot be made.",
        permanent=True,
        subject="server",
    ),
    row(
        "memory_refused",
        r"minimum memory limit|range of cpus|nano cpus",
        cause="The limits of memory or CPUs are not possible on {server}.",
        fix="Change them in the application's settings; Docker's words name what is possible there.",
        permanent=True,
        subject="server",
    ),
    row(
        "wrong_platform",
        r"exec format error|no matching manifest for",
        cause="The image was not made for the processor of {server}.",
        fix="Build it for that platform as well, or choose another server.",
        permanent=True,
        subject="image",
    ),
)


def of_engine(words: str, *, server: str) -> Verdict:
    """Why the daemon refused to make, start or end a container."""
    return of_known_refusal(words, server=server) or Verdict(
        "container_refused",
        f"Docker on {server} refused, for a reason that dokreg does not know. {said(words, 1)}",
        "Read Docker's own words below.",
        permanent=False,
        subject="server",
    )


def of_known_refusal(words: str, *, server: str) -> Verdict | None:
    """The same, where the reason is a known one."""
    return recognise(_ROWS, words, {"server": server})


def name_taken(*, name: str, server: str) -> Verdict:
    """A container that is not the application's has its name."""
    return Verdict(
        "name_taken",
        f"On {server} there is a container called {name} that dokreg did not make for this application.",
        "Choose another container name, or remove that container there.",
        permanent=True,
        subject="server",
    )


def exited(*, status: str, code: int, restarts: int) -> Verdict:
    """The new container did not stay up."""
    how = f"ended with exit code {code}" if not restarts else f"ended again and again (last with exit code {code})"
    return Verdict(
        "exited",
        f"The new container {how} instead of running.",
        "Its last lines below say why, as a rule: a missing setting, a port in use, a wrong command."
        if status != "dead"
        else "Docker calls it dead: look at it on the server with docker inspect.",
        permanent=False,
        subject="image",
    )


def unhealthy(*, probe: str) -> Verdict:
    """The new container runs, and its health check says no."""
    said_by_it = f" It said: {probe}" if probe else ""
    return Verdict(
        "unhealthy",
        f"The new container runs, but its health check fails.{said_by_it}",
        "Check the health check, and the container's last lines below.",
        permanent=False,
        subject="image",
    )


def not_healthy_in_time(*, seconds: int) -> Verdict:
    """The health check gave no verdict in time."""
    return Verdict(
        "not_healthy_in_time",
        f"The new container was not healthy within {seconds} s.",
        "Give it more time to start in its health check's settings, or see in its last lines what it waits for.",
        permanent=False,
        subject="image",
    )


def pull_stalled(*, seconds: int, reference: str) -> Verdict:
    """Nothing moved for a while."""
    return Verdict(
        "pull_stalled",
        f"Nothing of {reference} arrived for {seconds} s.",
        "Check the network between the server and the registry, then deploy again; what has arrived is kept.",
        permanent=False,
        subject="registry",
    )


def no_digest(*, reference: str) -> Verdict:
    """Docker pulled something and cannot say what."""
    return Verdict(
        "no_digest",
        f"{reference} was pulled, but Docker does not say which digest it is, so it is not started.",
        "Deploy again; if it stays so, pull it on the server by hand and compare.",
        permanent=False,
        subject="server",
    )


def cancelled(*, by: str) -> Verdict:
    """A person ended it."""
    return Verdict(
        "cancelled",
        f"{by or 'Somebody'} cancelled it.",
        "Deploy again when you like.",
        permanent=True,
        subject="dokreg",
    )


def superseded() -> Verdict:
    """It never began: something newer was asked for while it waited."""
    return Verdict(
        "superseded",
        "It was still waiting when something newer was asked for, which took its place.",
        "Nothing has to be done.",
        permanent=True,
        subject="dokreg",
    )


def container_missing(*, server: str) -> Verdict:
    """There is none to do something to."""
    return Verdict(
        "container_missing",
        f"The application has no container on {server}.",
        "Deploy it first.",
        permanent=True,
        subject="server",
    )


def not_put_back(*, server: str) -> Verdict:
    """What ran before could not be started again yet."""
    return Verdict(
        "not_put_back",
        f"What ran before could not be started again on {server} yet.",
        "dokreg tries again every minute for a day. If it is urgent, start the old container there by hand.",
        permanent=False,
        subject="server",
    )


def other_host(*, host: str, registry: str) -> Verdict:
    """The registry's credentials go to no other host than the registry's own."""
    return Verdict(
        "other_host",
        f"The image is at {host}, and the application's registry is at {registry} by now: its credentials go nowhere "
        "else.",
        "Choose a registry of that host in the application's settings, or deploy an image of the present one.",
        permanent=True,
        subject="credentials",
    )


def old_not_removed(*, name: str, server: str) -> Verdict:
    """A reservation: the new one serves, and Docker would not let go of what was there before."""
    return Verdict(
        "old_not_removed",
        f"The new container serves, but Docker on {server} did not remove the old one or give its name {name} on.",
        "The next deployment tries again. If it stays so, remove the old container there by hand.",
        permanent=False,
        subject="server",
    )


def old_left_elsewhere(*, server: str) -> Verdict:
    """A reservation: the application was moved, and its old container could not be removed."""
    return Verdict(
        "old_left_elsewhere",
        f"The new container serves, but the old one on {server} could not be removed.",
        f"Look at {server}; remove the old container there by hand.",
        permanent=False,
        subject="server",
    )


def no_registry_to_browse(*, why: str) -> Verdict:
    """There is neither a registry nor an image whose host could be asked; `why` the image is none, if it was typed."""
    return Verdict(
        "no_registry_to_browse",
        why or "No registry is chosen, and no image is typed whose registry could be asked.",
        "Choose a registry. To look at a public one, type an image of it, or its host and a slash: quay.io/.",
        permanent=True,
        subject="registry",
    )


def no_server_to_browse_from() -> Verdict:
    """No server is chosen, and dokreg's own host may not be used."""
    return Verdict(
        "no_server_to_browse_from",
        "The registry is asked by the server that will pull from it, and none is chosen.",
        "Choose a server in the form below, then browse again.",
        permanent=True,
        subject="server",
    )
