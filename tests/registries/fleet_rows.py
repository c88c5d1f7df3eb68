"""A fleet of any size, with results as a real one has them."""

from typing import Any

from django.utils import timezone

from organisations.models import Organisation
from registries.models import Login, Registry, RegistryTest, Standing
from servers.ladder import Rung, new_rung
from servers.models import Run, Server, SSHKey
from tests.servers.rows import make_key

REFUSED = {
    "cause": "The registry refused this username and password.",
    "fix": "Check both, and whether the token has ended.",
}
AWAY = {
    "cause": "dokreg could not reach the server at 10.0.0.9:22: connection refused.",
    "fix": "Check the address.",
}
DEAD_SERVER, WRONG_REGISTRY = 3, 2  # of so many servers and registries each: one is away, or has a wrong password


def fill_fleet(organisation: Organisation, *, registries: int, servers: int, tested: bool = True) -> None:
    """Add registries and servers, with a result for each pair and some logins."""
    key = SSHKey.objects.of(organisation).first() or make_key(organisation)
    columns = [
        Registry(
            organisation=organisation, name=f"registry {i:03}", kind="generic", url=f"r{i}.example.com",
            username="robot", credentials_mark="now",
        )
        for i in range(registries)
    ]  # fmt: skip
    rows = [
        Server(organisation=organisation, name=f"server {i:03}", host=f"10.0.{i // 250}.{i % 250 + 1}", ssh_key=key)
        for i in range(servers)
    ]
    Registry.objects.bulk_create(columns)
    Server.objects.bulk_create(rows)
    if tested:
        _test(organisation, [(i, column, j, row) for i, column in enumerate(columns) for j, row in enumerate(rows)])


def _test(organisation: Organisation, pairs: list[tuple[int, Registry, int, Server]]) -> None:
    tests = [made_test(organisation, registry, server, **_result(i, j)) for i, registry, j, server in pairs]
    RegistryTest.objects.bulk_create(tests, batch_size=500)
    Standing.objects.bulk_create(
        [
            Standing(organisation=organisation, registry=test.registry, server=test.server, last_test=test)
            for test in tests
        ],
        batch_size=500,
    )
    Login.objects.bulk_create(
        Login(
            organisation=organisation, registry=registry, registry_name=registry.name, server=server,
            url=registry.url, state=[Login.State.HELD, Login.State.WAITING, Login.State.FAILED][j % 3],
        )
        for i, registry, j, server in pairs
        if i == 1 and j % 5
    )  # fmt: skip


def made_test(organisation: Organisation, registry: Registry, server: Server, **values: Any) -> RegistryTest:
    """A test that is over, not saved."""
    now = timezone.now()
    own: dict[str, Any] = {
        "state": Run.State.PASSED,
        "credentials_mark": registry.credentials_mark,
        "started_at": now,
        "finished_at": now,
        "rungs": [new_rung("ssh", "SSH") | {"state": "passed"}],
    }
    return RegistryTest(
        organisation=organisation, registry=registry, server=server, server_name=server.name, kind=registry.kind,
        url=registry.url, username=registry.username, **own | values,
    )  # fmt: skip


def failed(name: str, label: str, verdict: str, words: dict[str, str]) -> dict[str, Any]:
    rung: Rung = new_rung(name, label) | {"state": "failed"} | words
    return {"state": Run.State.FAILED, "verdict": verdict, "rungs": [rung]}


def _result(registry: int, server: int) -> dict[str, Any]:
    if server % 40 == DEAD_SERVER:
        return failed("ssh", "SSH", "ssh_unreachable", AWAY)
    if registry % 20 == WRONG_REGISTRY:
        return failed("login", "Login", "credentials_refused", REFUSED)
    if registry % 20 == 5:
        return {"verdict": "accepts_any_password"}
    if registry % 20 == 6 and server % 7 == 0:
        return {"credentials_mark": "before"}
    return {}
