"""Alice, the first owner of a running dokreg: sets it up and does over HTTP what she would do in the browser."""

import re

from tests.lab import sshd
from tests.lab.registry import Account
from tests.running import Running
from tests.visitor import Page, Visitor

PASSWORD = "correct horse battery staple"
# What stands in the form of a new application by itself.
APPLICATION = {
    "restart_policy": "unless-stopped", "network": "bridge", "order": "auto", "settle_seconds": "0",
    "stop_seconds": "10", "health_interval_seconds": "10", "health_timeout_seconds": "5", "health_retries": "3",
    "health_start_seconds": "0", "poll_minutes": "0",
}  # fmt: skip


class Owner(Visitor):
    """Signed in, in the organisation `acme`."""

    def __init__(self, dokreg: Running) -> None:
        super().__init__(dokreg.url)
        self.get(dokreg.setup_link)
        page = self.post(
            dokreg.setup_link, organisation="Acme", username="alice", email="", password1=PASSWORD, password2=PASSWORD
        )
        assert page.address == f"{dokreg.url}/acme/settings/registries/", page.text

    def add_server(self, name: str, machine: sshd.Server) -> str:
        """Add a server of the lab and confirm its host key; the id of its row."""
        self.get("/acme/settings/ssh-keys/add/")
        added = self.post("/acme/settings/ssh-keys/add/", name=name, source="paste", private_key=machine.private_key)
        key_id = re.findall(r"/ssh-keys/([^/]+)/", added.address)[0]
        self.get("/acme/settings/servers/add/")
        page = self.post(
            "/acme/settings/servers/add/",
            name=name, host=machine.host, port=str(machine.port), user=machine.user, ssh_key=key_id,
        )  # fmt: skip
        server_id = re.findall(r"/servers/([^/]+)/", page.address)[0]
        self._confirm_host_key(server_id, machine)
        return str(server_id)

    def add_registry(self, host: str, account: Account) -> str:
        """Save a registry of the lab; the id of its row."""
        add = "/acme/settings/registries/add/generic/"
        self.get(add)
        page = self.post(add, name=host, url=host, username=account.username, password=account.password)
        return str(re.findall(r"/registries/([^/]+)/", page.address)[0])

    def add_application(self, **values: str) -> str:
        """Add an application in a new project of its name; the address of its page."""
        name = values.pop("name", "web")
        self.get("/acme/projects/add/")
        project = self.post("/acme/projects/add/", name=name).address
        self.get(f"{project}services/add/application/")
        values = APPLICATION | {"name": name, "container_name": name} | values
        page = self.post(f"{project}services/add/application/", **values)
        assert "/applications/" in page.address, page.text
        return page.address

    def _confirm_host_key(self, server_id: str, machine: sshd.Server) -> None:
        path = f"/acme/settings/servers/{server_id}/"
        self.wait_for_ladder(path)
        assert machine.fingerprint in self.get(path).text
        self.post(f"{path}trust/", fingerprint=machine.fingerprint)
        assert 'data-state="passed"' in self.wait_for_ladder(path)

    def wait_for_ladder(self, path: str) -> str:
        """The ladder that a page shows, once it is over."""
        page = self.get(path)
        if found := re.search(r'id="ladder"[^>]*hx-get="([^"]+)"', page.text):
            return self.ladder(found[1].replace("&amp;", "&"))
        return page.text

    def test_draft(self, *, kind: str = "generic", **values: str) -> Page:
        """Press Test in the form of a new registry."""
        self.get(f"/acme/settings/registries/add/{kind}/")
        return self.htmx_post(f"/acme/settings/registries/add/{kind}/test/", **values)
