"""Whose account pulls an image of Dokploy: its own, that of its registry, or that of the only registry of its host."""

from dataclasses import dataclass

from applications.importing.dokploy.records import Application
from applications.importing.found import Found
from registries import kinds, references
from registries.importing.saving import FoundRegistry, host_of, name_of, username_of
from registries.references import InvalidReference


@dataclass(frozen=True, slots=True)
class Account:
    """The ref of the registry, "" for none; and what a person should know of that."""

    registry: str = ""
    notes: tuple[str, ...] = ()


class Accounts:
    """Answers for one application after the other; credentials that stand beside an image join what was found, as a
    registry for each host and username."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._hosts = {ref: host_of(registry.url) for ref, registry in found.registries.items()}
        self._own: dict[str, FoundRegistry] = {}

    def of(self, application: Application) -> Account:
        try:
            host = references.parse(application.image).host
        except InvalidReference:
            return Account()  # the form says why
        if application.username and application.password:
            return self._of_image(application, host)
        if application.registry_id in self._hosts and self._hosts[application.registry_id] == host:
            return Account(application.registry_id)
        return self._of_host(host)

    def _of_image(self, application: Application, image_host: str) -> Account:
        # `docker login` takes an address with a path as well, and goes by its host.
        host = host_of(
            application.registry_url.strip().removeprefix("https://").removeprefix("http://").partition("/")[0]
        )
        if host != image_host:
            shown = host or "an address that dokreg refuses"
            return Account(
                notes=(f"Its own credentials are left out: they are for {shown}, its image is on {image_host}.",)
            )
        username = username_of(application.username, kinds.for_host(host))
        ref = f"{host} {username}"
        first = self._own.get(ref)
        if first is None:
            name = name_of(host, username)
            registry = FoundRegistry(name, host, application.username, application.password, image_prefix=None)
            self._own[ref] = self._found.registries[ref] = registry
        elif first.password != application.password:
            note = f"Its password for {first.name} is another one than the one that was taken: test that registry."
            return Account(ref, (note,))
        return Account(ref)

    def _of_host(self, host: str) -> Account:
        """Nothing says so in Dokploy, but Docker on its servers pulls with whatever they are logged in with."""
        fitting = [ref for ref, own in self._hosts.items() if own == host]
        if len(fitting) == 1:
            name = self._found.registries[fitting[0]].name
            return Account(
                fitting[0], (f"It pulls with “{name}”, the only registry of {host}; Dokploy does not say so.",)
            )
        if fitting:
            return Account(notes=(f"There are {len(fitting)} registries of {host}: choose the one that pulls it.",))
        return Account()
