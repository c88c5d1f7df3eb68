"""Container registries: the distribution project's own server, with each way of asking who you are."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import bcrypt

from tests.lab.certificates import Authority, Certified
from tests.lab.clouds import Cloud
from tests.lab.daemons import Daemon
from tests.lab.hosts import address_of
from tests.lab.ports import accepts_connections, address_off_loopback, free_port
from tests.lab.tokens import ISSUER, SERVICE, TokenServer

CERTIFICATES_OF_ENGINES = Path("/etc/docker/certs.d")  # read by every engine on the machine, whatever its folder


class Account(NamedTuple):
    username: str
    password: str


class Registry(Daemon):
    """A registry that asks nobody anything; what the others add is in their `settings`."""

    def __init__(self, folder: Path, *, address: str = "127.0.0.1") -> None:
        super().__init__("docker-registry", folder)
        self.address = address
        self.port = free_port(address)

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    def settings(self) -> dict[str, Any]:
        return {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.host, "secret": "shared by nobody", "relativeurls": True},
        }

    def command(self) -> Sequence[str]:
        configuration = self.folder / "registry.yml"
        configuration.write_text(json.dumps(self.settings()))  # JSON is YAML
        return ["docker-registry", "serve", str(configuration)]

    def is_ready(self) -> bool:
        return accepts_connections(self.address, self.port)


class BasicRegistry(Registry):
    """A registry with a file of passwords, which it reads anew whenever the file has changed."""

    def __init__(self, folder: Path, accounts: Sequence[Account], *, address: str = "127.0.0.1") -> None:
        super().__init__(folder, address=address)
        self._passwords = dict(accounts)
        self._write_passwords()

    def set_password(self, username: str, password: str) -> None:
        self._passwords[username] = password
        self._write_passwords()

    def remove_user(self, username: str) -> None:
        del self._passwords[username]
        self._write_passwords()

    @contextlib.contextmanager
    def password_changed(self, username: str, password: str) -> Iterator[None]:
        before = self._passwords[username]
        self.set_password(username, password)
        try:
            yield
        finally:
            self.set_password(username, before)

    @property
    def _password_file(self) -> Path:
        return self.folder / "htpasswd"

    def _write_passwords(self) -> None:
        lines = [f"{username}:{hashed(password)}\n" for username, password in self._passwords.items()]
        draft = self.folder / "htpasswd.new"
        draft.write_text("".join(lines))
        with contextlib.suppress(FileNotFoundError):
            # The registry reads again when the time is later than before, and two writes can share one tick.
            later = self._password_file.stat().st_mtime_ns + 1_000_000_000
            if draft.stat().st_mtime_ns < later:
                os.utime(draft, ns=(later, later))
        draft.replace(self._password_file)

    def settings(self) -> dict[str, Any]:
        htpasswd = {"realm": "Lab", "path": str(self._password_file)}
        return super().settings() | {"auth": {"htpasswd": htpasswd}}


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()


def tls_files(folder: Path, certified: Certified) -> dict[str, str]:
    certificate, key = folder / "server.crt", folder / "server.key"
    certificate.write_text(certified.certificate_pem)
    key.write_text(certified.key_pem)
    return {"certificate": str(certificate), "key": str(key)}


class TlsRegistry(BasicRegistry):
    """Like the one above, behind a certificate that no engine trusts until it is told to.

    It listens off loopback, as engines check no certificate on 127.0.0.0/8.
    """

    def __init__(self, folder: Path, accounts: Sequence[Account], *names: str, expired: bool = False) -> None:
        super().__init__(folder, accounts, address=address_off_loopback())
        self.authority = Authority()
        self.certified: Certified = self.authority.certify(*(names or [self.address]), expired=expired)

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        settings["http"]["tls"] = tls_files(self.folder, self.certified)
        return settings

    @contextlib.contextmanager
    def trusted_by_engines(self) -> Iterator[None]:
        folder = CERTIFICATES_OF_ENGINES / self.host
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_text(self.authority.own.certificate_pem)
        try:
            yield
        finally:
            shutil.rmtree(folder)


class BearerRegistry(Registry):
    """A registry that sends people to a token server, as the big public ones do."""

    def __init__(self, folder: Path, accounts: Sequence[Account]) -> None:
        super().__init__(folder)
        self.tokens = TokenServer(dict(accounts))

    def settings(self) -> dict[str, Any]:
        bundle = self.folder / "tokens.crt"
        bundle.write_text(self.tokens.signer.certificate_pem)
        token = {
            "realm": self.tokens.realm,
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(bundle),
        }
        return super().settings() | {"auth": {"token": token}}

    def launch(self) -> None:
        self.tokens.start()
        super().launch()

    def stop(self) -> None:
        super().stop()
        self.tokens.stop()


class WideRegistry(BearerRegistry):
    """A registry with as many names as there are addresses in 127.0.0.0/8."""

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        settings["http"]["addr"] = f":{self.port}"
        return settings

    def hosts(self, number: int) -> list[str]:
        return [f"127.0.0.{10 + index}:{self.port}" for index in range(number)]


class CloudRegistry(BearerRegistry):
    """A cloud's registry under its own name, on port 443: it lets in with the tokens of the cloud that live.

    The name has to lead here (`hosts.leading_here`). Engines check no certificate on loopback.
    """

    def __init__(self, folder: Path, name: str, cloud: Cloud) -> None:
        super().__init__(folder, ())
        self.public_name = name
        self.address, self.port = address_of(name), 443
        self.tokens.accepts = cloud.accepts
        self.certified = Authority().certify(name)

    @property
    def host(self) -> str:
        return self.public_name

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        settings["http"] |= {"addr": f"{self.address}:{self.port}", "tls": tls_files(self.folder, self.certified)}
        return settings
