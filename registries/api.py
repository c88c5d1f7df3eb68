"""The registry procedures of the HTTP API. No answer carries a secret."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr

from dokreg.database import AsJavaScriptWrites
from organisations.deletion import StillUsed
from organisations.forms import as_posted
from organisations.procedures import (
    Caller,
    Code,
    Refusal,
    Schema,
    Timestamp,
    Written,
    invalid,
    mutation,
    not_found,
    query,
    refused_form,
    revealed,
)
from registries import kinds, proving, pullers, references, saving
from registries.forms import ACCOUNT, AS_IT_IS, DraftTestForm, RegistryForm
from registries.kinds.generic import Generic
from registries.models import Registry
from servers.api import server_named
from servers.models import Server

Outcome = TypeVar("Outcome")
VIEW, ADD = "registries.view_registry", "registries.add_registry"
CHANGE, DELETE = "registries.change_registry", "registries.delete_registry"
CHANGE_APPLICATION = "applications.change_application"
# A form's field as it is called on the wire.
ON_THE_WIRE = {
    "name": "registryName",
    "url": "registryUrl",
    "username": "username",
    "password": "password",
    "image_prefix": "imagePrefix",
    "server": "serverId",
    "image": "image",
    "method": "method",
    "__all__": "",
}
# As `_on_the_wire` takes them.
SHOWN_COLUMNS = (
    "pk", "name", "image_prefix", "username", "url", "organisation_id", "kind", "method", "server_id",
    AsJavaScriptWrites("created_at"), AsJavaScriptWrites("token_expires_at"),
    "last_test__state", "last_test__verdict", "last_test__server_id", AsJavaScriptWrites("last_test__finished_at"),
)  # fmt: skip
EXAMPLE_ID = "V1StGXR8Z5jdHi6BmyTab"
EXAMPLE = {
    "registryId": EXAMPLE_ID,
    "registryName": "Production images",
    "imagePrefix": "acme",
    "username": "robot",
    "registryUrl": "registry.example.com:5000",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "registryType": "cloud",
    "organizationId": "bT7kQm2xWc9LrPz4NvYsA",
    "kind": "generic",
    "method": "",
    "serverId": None,
    "tokenExpiresAt": None,
    "lastTest": {"state": "passed", "verdict": "", "finishedAt": "2026-01-01T00:00:00.000Z", "serverId": None},
}
EXAMPLE_INPUT = {
    "registryName": "Production images",
    "username": "robot",
    "password": "…",
    "registryUrl": "registry.example.com:5000",
    "registryType": "cloud",
    "imagePrefix": "acme",
    "serverId": "",
}


class LastRegistryTest(Schema):
    """The last test of a registry: `verdict` is the code of the cause, empty if all was well."""

    state: str
    verdict: str
    finished_at: Timestamp | None
    server_id: str | None = Field(description="Where; null: on dokreg's own host.")


class RegistryRecord(Schema):
    """A registry. The secret is in no answer."""

    registry_id: str = Field(description="21 characters, safe in a URL.")
    registry_name: str
    image_prefix: str | None
    username: str
    registry_url: str = Field(description="Host, or host:port; empty for Docker Hub.")
    created_at: Timestamp
    registry_type: Literal["cloud"]
    organization_id: str
    kind: str = Field(description="The provider, such as ecr or generic.")
    method: str = Field(description="How short-lived tokens are minted; empty: the secret is used as it is.")
    server_id: str | None = Field(description="Where it is tested; null: on dokreg's own host.")
    token_expires_at: Timestamp | None
    last_test: LastRegistryTest | None


class SavedRegistry(RegistryRecord):
    """A registry that was just saved; `notices` are sentences about it, such as that it could not be tested."""

    notices: list[str]


def _checked_host(text: str) -> str:
    references.normalise_host(text)  # InvalidHost is a ValueError, whose sentence the answer quotes
    return text


Host = Annotated[
    str, AfterValidator(_checked_host), Field(description="Host, or host:port; empty for Docker Hub. No path.")
]


class RegistryId(Schema):
    registry_id: Annotated[str, Field(min_length=1)]


class ToRemove(RegistryId):
    force: bool | None = Field(
        None, description="Also while applications use it: they then pull the same images without an account."
    )


class Credentials(Schema):
    """What `docker login` is given, and where it is tried."""

    registry_name: str | None = None
    username: str
    password: Annotated[SecretStr, Field(min_length=1)]
    registry_url: Host
    registry_type: Literal["cloud", "selfHosted"] = "cloud"
    image_prefix: str | None = None
    server_id: str | None = Field(None, description="Where to test; empty or none: on dokreg's own host.")
    image: str | None = Field(None, description="An image whose pull right is tested as well.")
    kind: str | None = Field(None, description="The provider; left out, it is told by the host.")


class NewRegistry(Credentials):
    registry_name: Annotated[str, Field(min_length=1)]


class ChangedRegistry(RegistryId):
    """What is left out stays as it is; so does the secret where the password is empty."""

    registry_name: str | None = None
    image_prefix: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    registry_url: Host | None = None
    registry_type: Literal["cloud", "selfHosted"] | None = None
    server_id: str | None = None


class TestOfSaved(RegistryId):
    server_id: str | None = Field(
        None, description="Where; left out: where it is tested as a rule; empty or none: on dokreg's own host."
    )
    image: str | None = None


@query("registry.all", VIEW, answers=list[RegistryRecord], answer_example=[EXAMPLE])
def show_all(caller: Caller, _values: Schema) -> Written:
    """List the organisation's registries, by name."""
    return Written.of([_on_the_wire(row) for row in _rows(caller).order_by("name")])


@query("registry.one", VIEW, takes=RegistryId, answers=RegistryRecord, example={"registryId": EXAMPLE_ID},
       answer_example=EXAMPLE)  # fmt: skip
def show_one(caller: Caller, values: RegistryId) -> RegistryRecord:
    """Show a registry."""
    return _shown(caller, values.registry_id)


@mutation("registry.create", ADD, takes=NewRegistry, answers=SavedRegistry, example=EXAMPLE_INPUT,
          answer_example=EXAMPLE | {"notices": []}, refuses=[Code.GATEWAY_TIMEOUT])  # fmt: skip
def create(caller: Caller, values: NewRegistry) -> SavedRegistry:
    """Add a registry, once its credentials have passed the test.

    They are tested on the server of `serverId`, or on dokreg's own host; nothing is saved when they fail. Where no
    server is named and dokreg's own host has no Docker the registry is saved untested, and `notices` says so.
    """
    server = server_named(caller, values.server_id)
    form = _new_form(caller, values, server, RegistryForm)
    wish = _wish(caller, form, before={}, permission=ADD)
    proof = _proven(lambda: proving.add_proven(wish=wish, by=caller.user))
    untested = f"It is saved untested. {proof.reservation}" if proof.reservation else ""
    notices = [*form.warnings, *filter(None, [untested, proof.warning])]
    return SavedRegistry.model_construct(**dict(_shown(caller, form.instance.pk)), notices=notices)


@mutation("registry.update", CHANGE, takes=ChangedRegistry, answers=Literal[True], answer_example=True,
          example={"registryId": EXAMPLE_ID, "password": "…"},
          refuses=[Code.CONFLICT, Code.GATEWAY_TIMEOUT])  # fmt: skip
def update(caller: Caller, values: ChangedRegistry) -> bool:
    """Change a registry, once new credentials have passed the test: on its server, and on all that use it.

    All or nothing. An empty password keeps the stored one; another host needs the password again, since the stored one
    goes to no other host.
    """
    registry = _row(caller, values.registry_id)
    before = proving.as_read(registry)
    form = _edit_form(caller, registry, values)
    wish = _wish(caller, form, before=before, permission=CHANGE)
    _proven(lambda: proving.change_proven(wish=wish, by=caller.user))
    return True


@mutation("registry.remove", DELETE, takes=ToRemove, answers=RegistryRecord, example={"registryId": EXAMPLE_ID},
          answer_example=EXAMPLE, refuses=[Code.CONFLICT])  # fmt: skip
def remove(caller: Caller, values: ToRemove) -> RegistryRecord:
    """Delete a registry, and log its servers out.

    Refused while applications use it, unless `force`: they then pull the same images without an account.
    """
    record, registry = _shown(caller, values.registry_id), _row(caller, values.registry_id)
    if values.force and pullers.of(registry):
        caller.check(CHANGE_APPLICATION, purpose="to let applications pull without the registry")
    try:
        saving.delete_registry(registry=registry, force=bool(values.force))
    except StillUsed as error:
        raise Refusal(Code.CONFLICT, f"{error} Give those another registry first, or ask with force.") from error
    return record


@mutation("registry.testRegistry", ADD, CHANGE, takes=Credentials, answers=Literal[True], answer_example=True,
          example=EXAMPLE_INPUT, refuses=[Code.GATEWAY_TIMEOUT])  # fmt: skip
def test_draft(caller: Caller, values: Credentials) -> bool:
    """Test credentials that are not saved: `docker login` on a server, or on dokreg's own host."""
    server = server_named(caller, values.server_id)
    form = _new_form(caller, values, server, DraftTestForm)
    proof = _proven(
        lambda: proving.prove(
            organisation=caller.organisation,
            what=form.credentials,
            server=server,
            image=form.cleaned_data["image"],
            by=caller.user,
        )
    )
    if proof.reservation:
        raise Refusal(Code.BAD_REQUEST, proof.reservation)
    return True


@mutation("registry.testRegistryById", VIEW, takes=TestOfSaved, answers=Literal[True], answer_example=True,
          example={"registryId": EXAMPLE_ID, "serverId": ""}, refuses=[Code.GATEWAY_TIMEOUT])  # fmt: skip
def test_saved(caller: Caller, values: TestOfSaved) -> bool:
    """Test a saved registry on a server, or on dokreg's own host. It is tried at its own host, and at no other."""
    registry = _row(caller, values.registry_id)
    server = registry.server if values.server_id is None else server_named(caller, values.server_id)
    image = values.image or ""
    if image:
        _check_image(registry, image)
    _proven(lambda: proving.prove_saved(registry=registry, server=server, image=image, by=caller.user))
    return True


def _rows(caller: Caller) -> Any:
    return Registry.objects.of(caller.organisation).values_list(*SHOWN_COLUMNS)


def _shown(caller: Caller, registry_id: str) -> RegistryRecord:
    row = _rows(caller).filter(pk=registry_id).first()
    if row is None:
        raise not_found("Registry")
    return RegistryRecord.model_validate(_on_the_wire(row))


def _row(caller: Caller, registry_id: str) -> Registry:
    rows = Registry.objects.of(caller.organisation).select_related("organisation", "server")
    registry = rows.filter(pk=registry_id).first()
    if registry is None:
        raise not_found("Registry")
    return registry


def _on_the_wire(row: Sequence[Any]) -> dict[str, Any]:
    """A RegistryRecord as JSON has it, of SHOWN_COLUMNS.

    By position: to name the columns of a thousand rows takes about as long as to read them.
    """
    (
        pk, name, image_prefix, username, url, organisation_id, kind, method, server_id, created, token_expires,
        state, verdict, tested_on, tested_at,
    ) = row  # fmt: skip
    return {
        "registryId": pk,
        "registryName": name,
        "imagePrefix": image_prefix or None,
        "username": username,
        "registryUrl": "" if url == references.DOCKER_HUB else url,
        "createdAt": created,
        "registryType": "cloud",
        "organizationId": organisation_id,
        "kind": kind,
        "method": method,
        "serverId": server_id,
        "tokenExpiresAt": token_expires,
        "lastTest": state and {"state": state, "verdict": verdict, "finishedAt": tested_at, "serverId": tested_on},
    }


def _new_form(
    caller: Caller, values: Credentials, server: Server | None, form_class: type[RegistryForm]
) -> RegistryForm:
    """The page's own form, filled in; raises Refusal for what it does not take."""
    kind = _kind(values)
    data = {
        "name": values.registry_name or "",
        "url": values.registry_url,
        "username": values.username,
        "password": revealed(values.password),
        "image_prefix": values.image_prefix or "",
        "server": server.pk if server else "",
        "image": values.image or "",
        "method": AS_IT_IS,
    }
    registry = Registry(organisation=caller.organisation, kind=kind.slug)
    form = form_class(as_posted(data), instance=registry, organisation=caller.organisation, kind=kind)
    _check(form)
    return form


def _kind(values: Credentials) -> kinds.Kind:
    if not values.kind:
        return kinds.for_host(references.normalise_host(values.registry_url))
    try:
        return kinds.get(values.kind)
    except kinds.UnknownKind as error:
        raise invalid({"kind": [str(error)]}) from error


def _account(account: Mapping[str, str]) -> dict[str, str]:
    return {f"{ACCOUNT}{name}": text for name, text in account.items()}


def _check(form: RegistryForm) -> None:
    if not form.is_valid():
        raise refused_form(form, ON_THE_WIRE)


def _check_image(registry: Registry, image: str) -> None:
    try:
        references.compose(host=registry.url, image_prefix=registry.image_prefix, image=image)
    except references.InvalidReference as error:
        raise invalid({"image": [str(error)]}) from error


def _edit_form(caller: Caller, registry: Registry, values: ChangedRegistry) -> RegistryForm:
    """The page's own form with what stands in the row, and with what was sent; null leaves what is there."""
    server = registry.server if values.server_id is None else server_named(caller, values.server_id)
    password = revealed(values.password)
    ends_on = registry.secret_ends_on.isoformat() if registry.secret_ends_on and not password else ""
    data = {
        "name": registry.name if values.registry_name is None else values.registry_name,
        "url": registry.url if values.registry_url is None else values.registry_url,
        "username": registry.username if values.username is None else values.username,
        "password": password,
        "image_prefix": (values.image_prefix or "") if "image_prefix" in values.given else registry.image_prefix,
        "server": server.pk if server else "",
        "secret_ends_on": ends_on,
    }
    kind = _kind_after(registry, references.normalise_host(data["url"]))
    stays = kind.slug == registry.kind
    registry.kind = kind.slug
    data |= {"method": registry.method or AS_IT_IS} | _account(registry.account) if stays else {"method": AS_IT_IS}
    form = RegistryForm(as_posted(data), instance=registry, organisation=caller.organisation, kind=kind)
    _check(form)
    return form


def _kind_after(registry: Registry, host: str) -> kinds.Kind:
    """The provider of a registry that gets this host: as before, unless the host is another provider's."""
    if host == registry.url:
        return registry.provider
    told = kinds.for_host(host)
    return registry.provider if told.slug == Generic.slug and not registry.provider.check_host(host) else told


def _wish(caller: Caller, form: RegistryForm, *, before: dict[str, Any], permission: str) -> proving.Wish:
    return proving.Wish(
        registry=form.save(commit=False),
        credentials=form.credentials,
        new_secret=form.new_secret,
        before=before,
        check=lambda: caller.check_still(permission),
        image=form.cleaned_data["image"],
    )


def _proven(prove: Callable[[], Outcome]) -> Outcome:
    """What was proven, or the refusal that says why not."""
    try:
        return prove()
    except proving.NotProven as error:
        raise Refusal(Code.BAD_REQUEST, str(error)) from error
    except proving.NotOver as error:
        raise Refusal(Code.GATEWAY_TIMEOUT, str(error)) from error
    except saving.ChangedMeanwhile as error:
        raise Refusal(Code.CONFLICT, str(error)) from error
