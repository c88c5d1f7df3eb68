"""Servers, keys and tests, as a test needs them."""

from typing import Any

from django.utils import timezone

from organisations.models import Organisation
from servers import keys
from servers.models import Run, Server, ServerTest, SSHKey
from servers.testing import STEPS

PAIR = keys.generate()
HOST_KEY = " ".join(keys.generate().public.split()[:2])
OTHER_HOST_KEY = " ".join(keys.generate().public.split()[:2])


def make_key(organisation: Organisation, name: str = "deploy", pair: keys.KeyPair = PAIR) -> SSHKey:
    key = SSHKey(organisation=organisation, name=name, public_key=pair.public)
    key.private_key = pair.private
    key.save()
    return key


def make_server(organisation: Organisation, name: str = "web-1", **values: Any) -> Server:
    if "ssh_key" not in values:
        values["ssh_key"] = SSHKey.objects.of(organisation).first() or make_key(organisation)
    values = {"host": "10.0.0.5", "user": "deploy"} | values
    return Server.objects.create(organisation=organisation, name=name, **values)


def make_test(server: Server, state: str = Run.State.PASSED, *, last: bool = True, **values: Any) -> ServerTest:
    now = timezone.now()
    values = {"rungs": rungs(state), "started_at": now, "finished_at": now} | values
    test = ServerTest.objects.create(organisation=server.organisation, server=server, state=state, **values)
    if last:
        Server.objects.filter(pk=server.pk).update(last_test=test)
    return test


def rungs(state: str = Run.State.PASSED) -> list[dict[str, Any]]:
    facts = {"cli": "28.2.2", "daemon": "28.2.1", "disk": "9.0 GiB free on /"}
    empty = {"milliseconds": None, "cause": "", "fix": "", "words": ""}
    state = state if state == Run.State.PASSED else "waiting"
    return [
        {"name": name, "label": label, "state": state, "fact": facts.get(name, "")} | empty for name, label in STEPS
    ]
