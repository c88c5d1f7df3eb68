"""What servers of the lab hold in their Docker configs, and registries that they are logged in to."""

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from organisations.models import Organisation, User
from organisations.notification_models import Notice
from registries.models import Login, Registry
from servers import ssh
from tests.lab import sshd
from tests.lab.fixtures import ALICE, ECR_HOST
from tests.registries.rows import make_registry

FOREIGN = {"ghcr.io": {"auth": base64.b64encode(b"somebody:else's").decode()}}
KEY = "AKIAIOSFODNN7EXAMPLE"


def registry_of(
    organisation: Organisation, by: User, host: str, name: str = "Images", account: tuple[str, str] = ALICE
) -> Registry:
    username, password = account
    return make_registry(organisation, by, name, url=host, username=username, password=password)


def make_ecr(organisation: Organisation, by: User) -> Registry:
    return make_registry(
        organisation, by, kind="ecr", url=ECR_HOST, username="AWS", method="access_key",
        account={"access_key_id": KEY, "role_arn": "", "external_id": ""}, password="s" * 40,
    )  # fmt: skip


def config_of(server: sshd.Server, folder: str = "") -> dict[str, Any]:
    """What stands in a config on the server; {} where there is none."""
    path = f"$HOME/.docker/dokreg/{folder}/config.json" if folder else "$HOME/.docker/config.json"
    values: dict[str, Any] = json.loads(server.ssh(f"cat {path} 2>/dev/null || echo '{{}}'").stdout)
    return values


def held_by(server: sshd.Server, folder: str = "") -> dict[str, str]:
    """Host → `username:password`, as the server holds them."""
    auths = config_of(server, folder).get("auths", {})
    return {host: base64.b64decode(entry["auth"]).decode() for host, entry in auths.items()}


def write_config(server: sshd.Server, text: str) -> None:
    server.ssh("mkdir -p $HOME/.docker && cat > $HOME/.docker/config.json", stdin=text)


def log_in_by_hand(server: sshd.Server, host: str, account: tuple[str, str]) -> None:
    """As somebody does who sits there."""
    done = server.ssh(f"docker login -u {account[0]} --password-stdin {host}", stdin=account[1])
    assert done.returncode == 0, done.stderr


def colon(account: tuple[str, str]) -> str:
    return ":".join(account)


def row(registry: Registry | None = None) -> Login:
    rows = Login.objects.select_related("registry", "server")
    return rows.get(registry=registry) if registry else rows.get()


@contextlib.contextmanager
def away(server: sshd.Server) -> Iterator[None]:
    """Nobody can enter the server; no open connection is left, nor what is remembered of a failed one afterwards."""
    ssh.close_all()
    with server.down():
        yield
    ssh.close_all()


def let_it_be_due() -> None:
    Login.objects.exclude(due_at=None).update(due_at=timezone.now())


def told() -> list[str]:
    """The titles of what people were told."""
    return list(Notice.objects.order_by("created_at", "pk").values_list("title", flat=True))
