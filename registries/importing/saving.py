"""Makes a registry of an account that was found elsewhere, by the rules of the form."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from organisations.models import Organisation, User
from registries import kinds, references
from registries.forms import ACCOUNT, AS_IT_IS, RegistryForm
from registries.importing.report import Report, Thing, sentences_of
from registries.kinds import Kind
from registries.models import Registry
from registries.saving import save_registry
from servers.models import Server

TEST = "Registries are saved untested: test them on the servers that will pull."


@dataclass(frozen=True, slots=True)
class FoundRegistry:
    """An account at a registry, as it was found; `url` and `image_prefix` as somebody typed them.

    `kind` empty: told by the host. An `image_prefix` of None: none, and whichever the one has that is there already.
    `missing`: why there is no password, where there may be none.
    """

    name: str
    url: str
    username: str
    password: str = field(repr=False)
    image_prefix: str | None = ""
    kind: str = ""
    method: str = ""
    account: Mapping[str, str] = field(default_factory=dict)
    secret_ends_on: dt.date | None = None
    missing: str = ""
    notes: tuple[str, ...] = ()


def import_registry(
    found: FoundRegistry, *, organisation: Organisation, by: User, report: Report, server: Server | None = None
) -> Registry | None:
    """The registry that was made, or is there already; None if it had to be left out. Tested it is not.

    The secret is kept as it is unless a method is named, as it was used where it was found.
    """
    host = host_of(found.url)
    kind = _kind_of(found, host)
    if kind is None:
        report.left_out(Thing.REGISTRY, found.name, f"There is no kind of registry “{found.kind}”.")
        return None
    if existing := _existing(found, organisation, host, kind):
        report.there(Thing.REGISTRY, found.name, called=existing.name, words="; its secret stays as it is")
        return existing
    form = _form(found, organisation, kind, server)
    if found.missing and not found.password and "password" in form.fields:
        report.left_out(Thing.REGISTRY, found.name, found.missing)
        return None
    if not form.is_valid():
        report.left_out(Thing.REGISTRY, found.name, sentences_of(form))
        return None
    registry = form.save(commit=False)
    save_registry(registry=registry, password=form.new_secret, by=by)
    report.made(Thing.REGISTRY, registry.name, _fact(registry), [*found.notes, *form.warnings])
    return registry


def host_of(url: str) -> str:
    """The normalised host, or "" if it is none that dokreg takes."""
    try:
        return references.normalise_host(url)
    except references.InvalidHost:
        return ""


def name_of(host: str, username: str) -> str:
    """What an account is called that nobody has named."""
    longest = Registry._meta.get_field("name").max_length
    return (f"{host} ({username})" if username else host)[:longest]


def username_of(username: str, kind: Kind) -> str:
    """The username as dokreg stores it: none where it is the secret itself."""
    return "" if kind.username_is_secret else username.strip()


def _kind_of(found: FoundRegistry, host: str) -> Kind | None:
    try:
        return kinds.get(found.kind) if found.kind else kinds.for_host(host)
    except kinds.UnknownKind:
        return None


def _existing(found: FoundRegistry, organisation: Organisation, host: str, kind: Kind) -> Registry | None:
    """The one with the same account: whatever it is called there."""
    if not host:
        return None
    rows = Registry.objects.of(organisation).filter(url=host, username=username_of(found.username, kind))
    if found.image_prefix is None:
        return rows.order_by("created_at", "pk").first()
    try:
        prefix = references.normalise_image_prefix(found.image_prefix, host=host)
    except references.InvalidImagePrefix:
        return None  # the form says why
    return rows.filter(image_prefix=prefix).first()


def _form(found: FoundRegistry, organisation: Organisation, kind: Kind, server: Server | None) -> RegistryForm:
    data = {
        "name": found.name,
        "url": found.url,
        "username": username_of(found.username, kind),
        "password": found.password,
        "image_prefix": found.image_prefix or "",
        "method": found.method or AS_IT_IS,
        "server": server.pk if server is not None else "",
        "secret_ends_on": found.secret_ends_on or "",
    }
    return RegistryForm(
        data | {ACCOUNT + name: text for name, text in found.account.items()},
        instance=Registry(organisation=organisation, kind=kind.slug),
        organisation=organisation,
        kind=kind,
    )


def _fact(registry: Registry) -> str:
    return f"{registry.url}, {registry.username}" if registry.username else registry.url
