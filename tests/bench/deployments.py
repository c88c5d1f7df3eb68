"""A deployment of an image that is on the server already, against the same docker commands in one `ssh`."""

import subprocess
import time
from pathlib import Path

from tests.bench.figures import Figure, compared, timed
from tests.lab.engine import Engine
from tests.lab.registry import Account, BasicRegistry
from tests.lab.sshd import Server
from tests.lab.web import push_web
from tests.owner import Owner
from tests.running import Running, running

ROUNDS = 25
ACCOUNT = Account("alice", "a-password-of-20-byt")
# Ends at once when it is asked to, so that what is measured is not how long an application takes to stop.
QUICK = '["/bin/busybox", "sh", "-c", "trap exit TERM; while :; do sleep 0.05; done"]'
LONGEST_SECONDS = 60
BY_HAND = """
docker login --username {name} --password-stdin {host} &&
docker pull --quiet {image} &&
docker create --name by-hand.new --network host --restart unless-stopped {image} &&
{{ docker stop --time 1 by-hand || true; }} &&
docker start by-hand.new && sleep {settle} &&
docker inspect --format "{{{{.State.Running}}}}" by-hand.new &&
{{ docker rm --force by-hand || true; }} &&
docker rename by-hand.new by-hand
"""


class Deployments:
    """A server with an image, and a dokreg with an application of it."""

    def __init__(self, dokreg: Running, machine: Server, engine: Engine, registry: BasicRegistry) -> None:
        self.dokreg, self.machine, self.host = dokreg, machine, registry.host
        self.image = f"{registry.host}/shop/web:1"
        push_web(engine, self.image, port=1, marker="one", command=QUICK, account=ACCOUNT)
        self.owner = Owner(dokreg)
        server_id = self.owner.add_server("bench", machine)
        registry_id = self.owner.add_registry(self.host, ACCOUNT)
        self.application = self.owner.add_application(
            server=server_id, registry=registry_id, image=self.image, network="host", stop_seconds="1"
        )
        self.settle(0)

    def settle(self, seconds: int) -> None:
        """How long a container has to run until it counts; waited for on both sides."""
        self.seconds = seconds
        self.dokreg.change("UPDATE applications_application SET settle_seconds = ?", seconds)

    def deploy(self) -> None:
        """From the click to the end in the row."""
        page = self.owner.post(f"{self.application}deploy/")
        deployment = page.match(r"/deployments/([A-Za-z0-9]{21})/")
        state = "SELECT state FROM applications_deployment WHERE id = ?"
        end = time.monotonic() + LONGEST_SECONDS
        while (found := self.dokreg.column(state, deployment)[0]) in {"queued", "running"}:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert found == "succeeded", self.dokreg.column("SELECT log FROM applications_deployment")[-1]

    def by_hand(self) -> None:
        script = BY_HAND.format(name=ACCOUNT.username, host=self.host, image=self.image, settle=self.seconds)
        words = self.machine.ssh_words(" ".join(script.split()))
        done = subprocess.run(words, input=ACCOUNT.password, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr


def figures(folder: Path) -> list[Figure]:
    with (
        BasicRegistry(folder / "registry", (ACCOUNT,)) as registry,
        Engine(folder / "engine") as engine,
        Server(folder / "server", engine) as machine,
        running(folder / "data") as dokreg,
    ):
        dokreg.wait_until_healthy()
        bench = Deployments(dokreg, machine, engine, registry)
        found = []
        for seconds, rounds in ((0, ROUNDS), (3, 5)):
            bench.settle(seconds)
            bench.deploy()
            bench.by_hand()
            pairs = [(timed(bench.deploy), timed(bench.by_hand)) for _ in range(rounds)]
            mine, other = [list(times) for times in zip(*pairs, strict=True)]
            waits = f", which has to run for {seconds} s" if seconds else ""
            found.append(
                compared(
                    f"deployment of an image that is on the server{waits}, from the click to its end",
                    mine,
                    "the same docker commands in one ssh",
                    other,
                    "≤ 1.1",
                )
            )
        engine.remove_containers()
        return found
