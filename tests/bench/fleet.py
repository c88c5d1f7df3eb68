"""One registry tested on a hundred servers: the button Test everywhere, against the same logins by hand."""

import contextlib
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, compared, timed
from tests.lab.engine import Engine
from tests.lab.registry import Account, BearerRegistry
from tests.lab.sshd import Server
from tests.owner import Owner
from tests.running import Running, running
from tests.stock import row_of, stock

SERVERS = 100
BY_HAND_AT_ONCE = 32
ROUNDS = 5
ACCOUNT = Account("robot", "a-password-of-20-byt")
# Each login in a folder of its own, as each test of dokreg has: else they would wait for one file.
LOGIN = (
    'D=$(mktemp -d) && export DOCKER_CONFIG="$D" && docker login --username={username} --password-stdin -- {host}; '
    'S=$?; rm -rf "$D"; exit $S'
)


class ByHand:
    """What people do without dokreg: every login over a connection of its own, some of them at once."""

    def __init__(self, folder: Path, machines: list[Server], host: str) -> None:
        self.folder, self.machines = folder, machines
        folder.mkdir()
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(ACCOUNT.password)
        self._login = LOGIN.format(username=ACCOUNT.username, host=host)
        entries = [
            f"Host server-{index}\n HostName {machine.host}\n Port {machine.port}\n User {machine.user}\n"
            f" IdentityFile {machine.folder / 'client_key'}\n"
            for index, machine in enumerate(machines)
        ]
        common = (
            "Host *\n BatchMode yes\n ControlMaster no\n IdentitiesOnly yes\n LogLevel ERROR\n"
            " StrictHostKeyChecking yes\n GlobalKnownHostsFile none\n"
            f" UserKnownHostsFile {folder / 'known_hosts'}\n"
        )
        (folder / "config").write_text("".join([*entries, common]))
        known = [f"[{machine.host}]:{machine.port} {machine.host_key}\n" for machine in machines]
        (folder / "known_hosts").write_text("".join(known))

    def log_in(self, *, times: int = 1) -> None:
        """On all of them, so many times."""
        one = f"ssh -F {self.folder / 'config'} {{}} {shlex.quote(self._login)} < {self.folder / 'secret'}"
        names = "".join(f"server-{index}\n" for index in range(len(self.machines)))
        done = subprocess.run(
            ["xargs", "-P", str(BY_HAND_AT_ONCE), "-I", "{}", "sh", "-c", one],
            input=names * times, text=True, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Login Succeeded") == len(self.machines) * times, done.stdout


class Fleet:
    """A hundred servers with one engine, and a dokreg that knows them."""

    def __init__(self, dokreg: Running, machines: list[Server], registry: BearerRegistry, folder: Path) -> None:
        self.dokreg, self.machines, self.registry = dokreg, machines, registry
        self.owner = Owner(dokreg)
        self.registry_id = self._save_rows()
        self._by_hand = ByHand(folder, machines, registry.host)

    def test_everywhere(self) -> None:
        """From the click to the last result on the page, which polls as the browser does it."""
        self.owner.get(f"/acme/settings/registries/{self.registry_id}/")
        page = self.owner.post(f"/acme/fleet/registries/{self.registry_id}/test/")
        progress = self.owner.ladder(page.match(r'id="progress" hx-get="([^"]+)"'))
        assert f"<strong>{len(self.machines)}</strong> passed" in progress, progress

    def by_hand(self) -> None:
        self._by_hand.log_in()

    def forget_connections(self) -> None:
        """A new worker has no connection open; one server is tested, so that the worker is surely there."""
        worker = self.dokreg.service("celery")
        worker.terminate()
        worker.wait(60)
        page = self.owner.htmx_post(f"/acme/settings/registries/{self.registry_id}/test/", server="", image="")
        self.owner.ladder(page.match(r'hx-get="([^"]+)"'))

    def _save_rows(self) -> str:
        registry = {"name": "Images", "url": self.registry.host, **ACCOUNT._asdict()}
        servers = [row_of(machine, f"server-{index}") for index, machine in enumerate(self.machines)]
        return stock(self.dokreg, servers=servers, registries=[registry])[0]


@contextlib.contextmanager
def fleet(folder: Path, number: int = SERVERS) -> Iterator[Fleet]:
    """The fleet, running."""
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(Engine(folder / "e"))
        registry = stack.enter_context(BearerRegistry(folder / "registry", [ACCOUNT]))
        machines = [
            Server(folder / f"s{index}", engine, address=f"127.0.1.{index % 250 + 1}") for index in range(number)
        ]
        for machine in machines:
            machine.launch()
        for machine in machines:
            stack.enter_context(machine)
        dokreg = stack.enter_context(running(folder / "data"))
        dokreg.wait_until_healthy()
        yield Fleet(dokreg, machines, registry, folder / "by-hand")
        for machine in machines:
            machine.ask_to_stop()


def figures(folder: Path) -> list[Figure]:
    """With and without open connections; the three ways in turn, so that whatever else happens meets all of them."""
    with fleet(folder) as lab:
        cold, warm, by_hand = [], [], []
        for _ in range(ROUNDS):
            lab.forget_connections()
            cold.append(timed(lab.test_everywhere))
            by_hand.append(timed(lab.by_hand))
            warm.append(timed(lab.test_everywhere))
            by_hand.append(timed(lab.by_hand))
    work, against = f"a registry tested on {SERVERS} servers", f"xargs -P {BY_HAND_AT_ONCE} ssh docker login"
    return [
        compared(f"{work}, connections open", warm, against, by_hand, "≤ 1.0"),
        compared(f"{work}, none open", cold, against, by_hand, "≤ 1.0"),
    ]
