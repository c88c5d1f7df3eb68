"""A Dokploy with one of everything, and an importer of it."""

from typing import Any, NamedTuple

import pytest

from tests.importing import AUTH_SECRET, PAIR, Said, run
from tests.lab.dokploy import Dokploy, encrypted

EVERYTHING_MADE = {
    ("SSH key", "deploy"),
    ("server", "web-1"),
    ("registry", "GHCR"),
    ("registry", "Docker Hub of Acme"),
    ("registry", "DigitalOcean"),
    ("registry", "quay.io (acme+robot)"),
    ("project", "Shop"),
    ("project", "Shop (staging)"),
    ("application", "Shop / cache"),
    ("application", "Shop / site"),
    ("application", "Shop / web"),
    ("application", "Shop (staging) / web"),
}


class Ids(NamedTuple):
    key: str
    server: str
    ghcr: str
    project: str
    production: str
    staging: str


def small() -> tuple[Dokploy, Ids]:
    """A key, a server, a registry, and a project with two environments and nothing in them."""
    dokploy = Dokploy()
    key = dokploy.add_key("deploy", PAIR.private, f"{PAIR.public} dokploy")
    server = dokploy.add_server("web-1", key, ipAddress="10.0.0.5", port=2222, username="deploy")
    ghcr = dokploy.add_registry("GHCR", "ghcr.io", "acme-bot", "marked-registry-password", imagePrefix="acme")
    project = dokploy.add_project("Shop", description="What we sell", env=_sealed("HOST=db\nPW=marked-project-value"))
    production = dokploy.add_environment(project)
    staging = dokploy.add_environment(project, "staging", env=_sealed("STAGE=marked-stage-value"))
    return dokploy, Ids(key, server, ghcr, project, production, staging)


def whole() -> Dokploy:
    """The same with applications, and with everything that is left out."""
    dokploy, ids = small()
    dokploy.add_registry("Docker Hub of Acme", "", "acme", "marked-docker-hub-token")
    token = "marked-token-of-digitalocean"
    dokploy.add_registry("DigitalOcean", "registry.digitalocean.com", token, token)
    dokploy.add_application(
        ids.production,
        "web",
        serverId=ids.server,
        dockerImage="ghcr.io/acme/web:1.4",
        registryId=ids.ghcr,
        env=_sealed("# The shop\nTOKEN=marked-environment-value\nDATABASE=${{project.HOST}}/${{project.PW}}"),
        args=["serve", "--key", "marked-argument-value"],
        ports=[{"publishedPort": 8080, "targetPort": 80, "protocol": "tcp"}],
        mounts=[
            {"type": "volume", "volumeName": "files", "mountPath": "/files"},
            {"type": "bind", "hostPath": "/srv/site", "mountPath": "/site"},
            {"type": "file", "filePath": "app.conf", "content": "marked-file-content", "mountPath": "/etc/app.conf"},
        ],
        domains=[{"host": "shop.example.com"}],
        security=[{"username": "guest", "password": "marked-basic-auth"}],
        replicas=3,
    )
    own = {"registryUrl": "https://quay.io/acme", "username": "acme+robot", "password": "marked-image-password"}
    dokploy.add_application(ids.production, "site", serverId=ids.server, dockerImage="quay.io/acme/site:2", **own)
    dokploy.add_application(ids.production, "cache", serverId=ids.server, dockerImage="redis:7")
    dokploy.add_application(
        ids.staging,
        "web",
        appName="app-staging-web",
        serverId=ids.server,
        dockerImage="quay.io/acme/web",
        env=_sealed("STAGE=${{environment.STAGE}}\nVAULT=${{vault.main.path}}"),
        **own | {"password": "marked-other-image-password"},
    )
    _add_left_out(dokploy, ids)
    return dokploy


def _add_left_out(dokploy: Dokploy, ids: Ids) -> None:
    dokploy.add_key("without private half", "", "ssh-ed25519 AAAA")
    dokploy.add_key("no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n-----END OPENSSH PRIVATE KEY-----")
    dokploy.add_server("builder", ids.key, ipAddress="10.0.0.6", serverType="build")
    dokploy.add_server("keyless", None, ipAddress="10.0.0.7")
    dokploy.add_server("broken", ids.key, ipAddress="deploy@10.0.0.8")
    dokploy.add_registry("With a path", "registry.example.com/acme", "bot", "marked-registry-password")
    dokploy.add_application(ids.production, "built", sourceType="github", serverId=ids.server)
    dokploy.add_application(ids.production, "on dokploy", dockerImage="nginx:1", serverId=None)
    dokploy.add_application(ids.production, "without image", serverId=ids.server)
    dokploy.add_application(ids.production, "Web", dockerImage="Not/An/Image", serverId=ids.server)
    dokploy.add_service("compose", ids.production, "stack")
    dokploy.add_service("postgres", ids.staging, "orders")


def _sealed(text: str) -> str:
    return encrypted(text, AUTH_SECRET)


class Importer:
    """Imports from a database, or through the API."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *where: str) -> None:
        self.monkeypatch = monkeypatch
        self.where = where

    def __call__(self, *arguments: str, by: str = "alice") -> Said:
        return run("import_dokploy", "--organisation", "acme", "--by", by, *self.where, *arguments)

    def set(self, **variables: Any) -> None:
        for name, value in variables.items():
            self.monkeypatch.setenv(name, str(value))
