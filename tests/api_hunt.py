"""Every procedure of the API, rightly and wrongly, over REST and over tRPC, with marked secrets; what was answered."""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tests.lab import sshd
from tests.program import LONGEST_SECONDS, key_of
from tests.running import Running

JSON = "application/json"
# Fields that hold no secret, and whose sentences repeat a bit of what does not do.
QUOTED = frozenset({"registryUrl", "imagePrefix", "image", "dockerImage", "ports", "volumes"})


@dataclass
class Rounds:
    """Calls procedures with a key, and keeps every answer as it came."""

    dokreg: Running
    secrets: Mapping[str, str]
    answers: list[str] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    new_keys: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = key_of(self.dokreg)
        place = urlsplit(self.dokreg.url)
        self._connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=LONGEST_SECONDS)
        self.document = json.loads(self.send("GET", "/api/settings.getOpenApiDocument")[1])
        self.fields = {path[1:]: set(_fields(item, self.document)) for path, item in self.document["paths"].items()}

    def send(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str]:
        """Any request; its answer is kept."""
        given = {"x-api-key": self.key, "Content-Type": JSON} | {
            name.replace("_", "-"): headers[name] for name in headers
        }
        self._connection.request(method, path, body, given)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        self.answers.append(text)
        return answer.status, text

    def go_right(self, machine: sshd.Server, host: str) -> None:
        """Everything as it should be, but for what Docker or a registry refuses; over both surfaces."""
        for call in (self.rest, self.trpc):
            _Round(self, call, machine, host).go()
        assert self.called == set(self.fields)

    def go_wrong(self) -> None:
        """The marked password in every wrong place; nothing of this succeeds."""
        secret = self.secrets["wrong"]
        for name in self.fields:
            for values in self._wrong_values(name, secret):
                self._refused(name, values)
        for body in (f'{{"password": "{secret}', f'"{secret}"', f'["{secret}"]', secret):
            self.send("POST", "/api/registry.create", body)
            self.send("POST", "/api/trpc/registry.create?batch=1", body)
            self.send("GET", f"/api/trpc/registry.one?input={quote(body)}")
            self.send("POST", "/api/registry.create", body, Content_Type="text/plain")
        for path in (f"registry.all?password={secret}", f"trpc/registry.all?input={secret}&key={self.key}"):
            for key in ("", f"{self.key}x", secret):
                assert self.send("GET", f"/api/{path}", x_api_key=key)[0] == 401

    def rest(self, name: str, /, **values: Any) -> tuple[int, Any]:
        if self._is_query(name):
            status, text = self.send("GET", f"/api/{name}?{urlencode(values)}")
        else:
            status, text = self.send("POST", f"/api/{name}", json.dumps(values))
        self.called.add(name)
        return status, json.loads(text)

    def trpc(self, name: str, /, **values: Any) -> tuple[int, Any]:
        sent = json.dumps({"json": values})
        if self._is_query(name):
            status, text = self.send("GET", f"/api/trpc/{name}?input={quote(sent)}")
        else:
            status, text = self.send("POST", f"/api/trpc/{name}", sent)
        self.called.add(name)
        envelope = json.loads(text)
        return status, envelope["error"]["json"] if "error" in envelope else envelope["result"]["data"]["json"]

    def _wrong_values(self, name: str, secret: str) -> Iterator[dict[str, Any]]:
        """In one field at a time, in all at once where each has another type, and in none that it knows."""
        places = self.fields[name]
        yield from ({place: secret} for place in places - {"name"})
        yield {place: [secret] for place in places}
        yield {place: {secret: secret} for place in (*places, secret)}

    def _refused(self, name: str, values: dict[str, Any]) -> None:
        if self._is_query(name):
            self.send("GET", f"/api/{name}?{urlencode(values)}")
            self.send("GET", f"/api/trpc/{name}?input={quote(json.dumps(values))}")
            return
        for path, body in ((f"/api/{name}", values), (f"/api/trpc/{name}", {"json": values})):
            status, text = self.send("POST", path, json.dumps(body))
            assert status in {400, 404}, (name, values, text)

    def _is_query(self, name: str) -> bool:
        return "get" in self.document["paths"][f"/{name}"]


class _Round:
    """One surface."""

    def __init__(self, rounds: Rounds, call: Any, machine: sshd.Server, host: str) -> None:
        self.rounds, self.call, self.machine, self.host = rounds, call, machine, host
        self.right, self.wrong = rounds.secrets["right"], rounds.secrets["wrong"]

    def go(self) -> None:
        for name in self.rounds.fields:
            if name.startswith(("settings.", "organization.all", "gitProvider", "destination", "user.get")):
                self.made(name)
        server, key = self._servers()
        registry = self._registries(server)
        project = self._applications(server, registry)
        for name, values in (
            ("project.remove", {"projectId": project}),
            ("registry.remove", {"registryId": registry}),
            ("server.remove", {"serverId": server}),
            ("sshKey.remove", {"sshKeyId": key}),
        ):
            self.made(name, **values)
        self._keys()

    def made(self, name: str, /, **values: Any) -> Any:
        status, value = self.call(name, **values)
        assert status == 200, (name, value)
        return value

    def refused(self, name: str, /, **values: Any) -> None:
        status, value = self.call(name, **values)
        assert status in {400, 409}, (name, value)

    def mixed_up(self, name: str, mistake: dict[str, Any], /, **values: Any) -> None:
        """The password in each field in turn, of an input that comes as far as the form and has a mistake besides."""
        for place in self.rounds.fields[name] - QUOTED - {"sourceType", *mistake}:
            if not place.endswith("Id"):
                self.refused(name, **values | mistake | {place: f"{self.wrong} !"})

    def _servers(self) -> tuple[str, str]:
        machine = self.machine
        key = self.made("sshKey.create", name="API", privateKey=machine.private_key)["sshKeyId"]
        values = {"ipAddress": machine.host, "port": machine.port, "username": machine.user, "sshKeyId": key}
        server = self.made("server.create", name="API", **values, hostKey=machine.host_key)["serverId"]
        for name in ("server.all", "sshKey.all"):
            self.made(name)
        self.made("sshKey.one", sshKeyId=key)
        self.made("server.one", serverId=server)
        self.made("server.update", serverId=server, description="by the API")
        self.made("server.validate", serverId=server)
        self.mixed_up("sshKey.create", {"privateKey": machine.private_key[:300]}, name="Broken")
        self.mixed_up("server.create", {"ipAddress": "a b"}, name="Odd", **values)
        self.mixed_up("server.update", {"ipAddress": "a b"}, serverId=server)
        return str(server), str(key)

    def _registries(self, server: str) -> str:
        account = {"username": "marked", "registryUrl": self.host, "registryType": "cloud", "serverId": server}
        named = account | {"registryName": "API", "imagePrefix": "acme"}
        registry = self.made("registry.create", **named, password=self.right)["registryId"]
        self.refused("registry.create", **named | {"registryName": "Wrong"}, password=self.wrong)
        self.refused("registry.create", **named, password=f" {self.wrong}\n")
        address = {"registryUrl": f"https://marked:{self.wrong}@{self.host}"}
        self.refused("registry.create", **named | address, password=self.wrong)
        self.made("registry.testRegistry", **account, password=self.right)
        self.refused("registry.testRegistry", **account, password=self.wrong)
        self.made("registry.testRegistryById", registryId=registry, serverId=server)
        self.refused("registry.testRegistryById", registryId=registry, serverId=server, image="acme/none:1")
        self.made("registry.update", registryId=registry, imagePrefix="acme", password=self.right)
        self.refused("registry.update", registryId=registry, password=self.wrong)
        self.refused("registry.update", registryId=registry, **address)
        for name in ("registry.create", "registry.testRegistry"):
            self.mixed_up(name, {"imagePrefix": "a b"}, **named, password=self.wrong)
        self.mixed_up("registry.update", {"imagePrefix": "a b"}, registryId=registry)
        self.made("registry.one", registryId=registry)
        self.made("registry.all")
        return str(registry)

    def _applications(self, server: str, registry: str) -> str:
        project = self.made("project.create", name="API")["project"]["projectId"]
        self.refused("environment.create", name="staging", projectId=project)
        self.mixed_up("project.create", {"description": "x" * 400})
        environment = f"TOKEN={self.rounds.secrets['environment']}"
        values = {
            "name": "api",
            "environmentId": project,
            "serverId": server,
            "registryId": registry,
            "env": environment,
        }
        application = self.made("application.create", **values, dockerImage="none:1")["applicationId"]
        self.refused("application.create", **values, dockerImage="none:1")  # there is one of this name
        self.refused("application.update", applicationId=application, env=environment.replace("=", " "))
        self.made("application.update", applicationId=application, env=f"{environment}\n")
        self.mixed_up("application.create", {"network": "a b"}, **values)
        self.mixed_up("application.update", {"network": "a b"}, applicationId=application)
        account = {"username": "marked", "registryUrl": self.host}
        image = {"applicationId": application, "dockerImage": "none:2"}
        self.made("application.saveDockerProvider", **image, **account, password=self.right)
        self.refused("application.saveDockerProvider", **image, **account, password=self.wrong)
        self.made("application.refreshToken", applicationId=application)
        deployment = self.made("application.deploy", applicationId=application)["deploymentId"]
        self.made("application.redeploy", applicationId=application, title=f"a{'b' * 400}")
        self.made("deployment.all", applicationId=application)
        self.made("deployment.allByType", id=application, type="application")
        self.made("deployment.readLogs", deploymentId=deployment)
        self.made("application.one", applicationId=application)
        self.made("project.one", projectId=project)
        self.made("project.all")
        self._delete(application)
        return str(project)

    def _delete(self, application: str) -> None:
        """Once what was asked for has come to its end, which is a failure: there is no such image."""
        states = "SELECT state FROM applications_deployment WHERE application_id = ?"
        self.rounds.dokreg.wait_for(
            lambda: {"queued", "running"}.isdisjoint(self.rounds.dokreg.column(states, application)), "the deployment"
        )
        self.made("deployment.all", applicationId=application)
        self.made("application.delete", applicationId=application)

    def _keys(self) -> None:
        made = self.made("user.createApiKey", name="API", expiresIn=3600)
        self.rounds.new_keys.append(made["key"])
        self.rounds.answers[-1] = self.rounds.answers[-1].replace(made["key"], "")  # this answer alone shows it
        self.made("organization.one", organizationId=self.made("organization.all")[0]["id"])
        self.made("user.deleteApiKey", apiKeyId=made["id"])


def _fields(item: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """The names of what a procedure takes."""
    operation = next(iter(item.values()))
    if "requestBody" not in operation:
        return [parameter["name"] for parameter in operation.get("parameters", [])]
    reference = operation["requestBody"]["content"][JSON]["schema"]["$ref"].rpartition("/")[2]
    return list(document["components"]["schemas"][reference]["properties"])
