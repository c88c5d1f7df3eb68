"""Every procedure × every kind of caller, over REST and over tRPC: who is refused changes nothing."""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dokreg import permissions
from dokreg.ids import new_id
from organisations import api_keys, throttle
from organisations.api_key_models import ApiKey
from organisations.models import AuditEntry, Membership, Organisation, OwnedByOrganisation, User
from organisations.procedures import Procedure
from tests.api.calling import SURFACES, Answer, Api, key_of, undone
from tests.api.documented import IDS, PROCEDURES, id_fields, make_things
from tests.api.verdicts import Verdicts
from tests.people import allow, membership_of
from tests.registries.rows import make_registry
from tests.servers.rows import HOST_KEY

SEE_REGISTRIES, SEE_SERVERS, SEE_KEYS = (
    ("registries.view_registry",),
    ("servers.view_server",),
    ("servers.view_sshkey",),
)
SEE, CHANGE = ("applications.view_application",), ("applications.change_application",)
DEPLOY, NEW_PROJECT = ("applications.deploy_application",), ("applications.add_project",)
NONE: tuple[str, ...] = ()
# Of these permissions one is enough; none: every member.
TABLE: dict[str, tuple[str, ...]] = {
    "settings.health": NONE,
    "settings.getDokployVersion": NONE,
    "settings.isCloud": NONE,
    "settings.getOpenApiDocument": NONE,
    "gitProvider.getAll": NONE,
    "destination.all": NONE,
    "user.get": NONE,
    "user.createApiKey": NONE,
    "user.deleteApiKey": NONE,
    "organization.all": NONE,
    "organization.one": NONE,
    "server.all": SEE_SERVERS,
    "server.one": SEE_SERVERS,
    "server.create": ("servers.add_server",),
    "server.update": ("servers.change_server",),
    "server.remove": ("servers.delete_server",),
    "server.validate": SEE_SERVERS,
    "sshKey.all": SEE_KEYS,
    "sshKey.one": SEE_KEYS,
    "sshKey.create": ("servers.add_sshkey",),
    "sshKey.remove": ("servers.delete_sshkey",),
    "registry.all": SEE_REGISTRIES,
    "registry.one": SEE_REGISTRIES,
    "registry.create": ("registries.add_registry",),
    "registry.update": ("registries.change_registry",),
    "registry.remove": ("registries.delete_registry",),
    "registry.testRegistry": ("registries.add_registry", "registries.change_registry"),
    "registry.testRegistryById": SEE_REGISTRIES,
    "project.all": SEE,
    "project.one": SEE,
    "project.create": NEW_PROJECT,
    "project.remove": ("applications.delete_project",),
    "environment.create": NEW_PROJECT,
    "application.one": SEE,
    "application.create": ("applications.add_application",),
    "application.update": CHANGE,
    "application.saveDockerProvider": CHANGE,
    "application.delete": ("applications.delete_application",),
    "application.deploy": DEPLOY,
    "application.redeploy": DEPLOY,
    "application.refreshToken": CHANGE,
    "deployment.all": SEE,
    "deployment.allByType": SEE,
    "deployment.readLogs": SEE,
}
# What a procedure wants besides, whatever is sent to it.
AS_WELL = {"application.refreshToken": DEPLOY}
# The example is refused for another reason: what it names is in use, or a second environment is not to be had.
STATUS = dict.fromkeys(["server.remove", "sshKey.remove", "registry.remove", "project.remove"], 409)
STATUS["environment.create"] = 400
WITH_LIMITS = {"user.deleteApiKey": 404}  # a limited key reaches itself, and what was made with it

GUARDED = [name for name, needed in TABLE.items() if needed]
each = pytest.mark.parametrize("name", TABLE)
surface = pytest.mark.parametrize("ask", SURFACES.values(), ids=SURFACES)
Ask = Callable[[Api, Procedure, Any], Answer]


def test_every_procedure_is_in_the_table() -> None:
    assert {name: procedure.permissions for name, procedure in PROCEDURES.items()} == TABLE


@contextmanager
def nothing_changed() -> Iterator[None]:
    """Nothing is written meanwhile, but when a key was used last."""
    with CaptureQueriesContext(connection) as captured:
        yield
    statements = [query["sql"] for query in captured.captured_queries]
    reading = ("SELECT", "SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT", "BEGIN", "COMMIT")
    noting = 'UPDATE "organisations_apikey" SET "last_used_at"'
    assert [sql for sql in statements if not sql.startswith((*reading, noting))] == []


# Who is nobody


def _no_key(alice: User) -> str:
    return ""


def _wrong_key(alice: User) -> str:
    return "x" * api_keys.KEY_LENGTH


def _revoked(alice: User) -> str:
    key, text = api_keys.make(membership=membership_of(alice), name="key")
    api_keys.revoke(key)
    return text


def _expired(alice: User) -> str:
    text = key_of(alice)
    ApiKey.objects.filter(key_hash=api_keys.hash_of(text)).update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    return text


def _switched_off(alice: User) -> str:
    text = key_of(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    return text


def _gone(alice: User) -> str:
    text = key_of(alice)
    Membership.objects.filter(user=alice).delete()
    return text


NOBODIES: dict[str, tuple[Callable[[User], str], str]] = {
    "no key": (_no_key, "Unauthorized"),
    "a wrong key": (_wrong_key, "Unauthorized"),
    "a revoked key": (_revoked, "was revoked"),
    "an expired key": (_expired, "expired on"),
    "an account that is switched off": (_switched_off, "switched off"),
    "a membership that has ended": (_gone, "Unauthorized"),
}


@surface
@pytest.mark.parametrize(("key_for", "reason"), NOBODIES.values(), ids=NOBODIES)
def test_who_is_nobody_is_unauthorized(
    ask: Ask, key_for: Callable[[User], str], reason: str, alice: User, documented: None
) -> None:
    api = Api(key_for(alice))
    for name in TABLE:
        throttle.forget()
        with nothing_changed():
            answer = ask(api, PROCEDURES[name], PROCEDURES[name].example)
        assert answer.status == 401, name
        assert reason in answer.message, name
        assert answer.message == "Unauthorized" or answer.message.startswith("Unauthorized: "), name


# Who may not


@surface
def test_a_member_without_the_permission_is_refused(ask: Ask, bob: User, documented: None) -> None:
    for name, missing in missing_permissions():
        with undone():
            allow(bob, *(permissions.ALL - missing))
            check_refused(ask, Api(key_of(bob)), name)


@surface
def test_a_key_that_is_limited_to_other_permissions_is_refused(ask: Ask, alice: User, documented: None) -> None:
    for name, missing in missing_permissions():
        with undone():
            check_refused(ask, Api(key_of(alice, limits=permissions.ALL - missing)), name)


def missing_permissions() -> Iterator[tuple[str, set[str]]]:
    """Each guarded procedure with what it wants, and with what it wants besides."""
    for name in GUARDED:
        yield name, {*TABLE[name]}
        if name in AS_WELL:
            yield name, {*AS_WELL[name]}


def check_refused(ask: Ask, api: Api, name: str) -> None:
    with nothing_changed():
        answer = ask(api, PROCEDURES[name], PROCEDURES[name].example)
    assert answer.status == 401, name
    assert answer.value["data"]["code"] == "UNAUTHORIZED", name
    assert answer.message.startswith("You need the permission"), name


@surface
def test_a_member_with_the_permission_may(ask: Ask, bob: User, documented: None, verdicts: Verdicts) -> None:
    ApiKey.objects.filter(pk=IDS["apiKeyId"]).update(membership=membership_of(bob))  # nobody deletes another's
    for name, needed in sufficient_permissions():
        with undone():
            allow(bob, *needed)
            answer = ask(Api(key_of(bob)), PROCEDURES[name], PROCEDURES[name].example)
            assert answer.status == STATUS.get(name, 200), (name, answer.value)


@surface
def test_a_key_with_exactly_the_permission_may(ask: Ask, alice: User, documented: None, verdicts: Verdicts) -> None:
    for name, needed in sufficient_permissions():
        with undone():
            answer = ask(Api(key_of(alice, limits=needed)), PROCEDURES[name], PROCEDURES[name].example)
            assert answer.status == (STATUS | WITH_LIMITS).get(name, 200), (name, answer.value)


def sufficient_permissions() -> Iterator[tuple[str, frozenset[str]]]:
    """Each procedure with each that is enough for it."""
    for name, any_of in TABLE.items():
        for one in any_of or ("",):
            yield name, frozenset(filter(None, [one, *AS_WELL.get(name, ())]))


@surface
def test_what_is_sent_may_need_more(ask: Ask, bob: User, documented: None, verdicts: Verdicts) -> None:
    """To pin a host key; to choose whose account pulls."""
    other = make_registry(bob.organisations.get(), bob, "Other").pk
    for name, needed, values in (
        ("server.create", "servers.trust_server", {"hostKey": HOST_KEY}),
        ("server.update", "servers.trust_server", {"hostKey": HOST_KEY}),
        ("application.create", "registries.use_registry", {"registryId": other}),
        ("application.update", "registries.use_registry", {"registryId": other}),
    ):
        sent = dict(PROCEDURES[name].example) | values
        allow(bob, *(permissions.ALL - {needed}))
        api = Api(key_of(bob))
        with nothing_changed():
            answer = ask(api, PROCEDURES[name], sent)
        assert (answer.status, answer.value["data"]["code"]) == (401, "UNAUTHORIZED"), name
        allow(bob, *permissions.ALL)
        with undone():
            assert ask(api, PROCEDURES[name], sent).status == 200, name


# Strangers


def rows_of(organisation: Organisation) -> list[Any]:
    """Everything that the organisation has, the audit trail included."""
    models = [model for model in apps.get_models() if issubclass(model, OwnedByOrganisation)]
    owned = [list(model._default_manager.filter(organisation=organisation).order_by("pk").values()) for model in models]
    told = AuditEntry.objects.filter(additional_data__organisation=organisation.pk)
    return [*owned, list(told.order_by("pk").values_list("pk", flat=True))]


@each
@surface
def test_a_stranger_finds_and_changes_nothing(
    name: str, ask: Ask, charlie: User, organisation: Organisation, documented: None, verdicts: Verdicts
) -> None:
    """Who owns another organisation gets nothing by it in this one."""
    before = rows_of(organisation)
    answer = ask(Api(key_of(charlie)), PROCEDURES[name], PROCEDURES[name].example)
    assert rows_of(organisation) == before
    if named := [path for path in id_fields(PROCEDURES[name]) if _at(PROCEDURES[name].example, path)]:
        assert answer.status == 404, named
    elif name != "settings.getOpenApiDocument":  # whose examples they are
        assert not set(IDS.values()) & set(re.findall(r"\w{21}", json.dumps(answer.value)))


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = (values or {}).get(name)
    return values


def _with(values: Any, path: tuple[str, ...], value: str) -> dict[str, Any]:
    """The input with another value at a place, which may be inside of an object in it."""
    name, *rest = path
    inner = _with(values.get(name) or {}, tuple(rest), value) if rest else value
    return dict(values) | {name: inner}


ID_FIELDS = [(name, path) for name, procedure in PROCEDURES.items() for path in id_fields(procedure)]


def test_every_id_is_among_those() -> None:
    assert {path[-1] for _name, path in ID_FIELDS} == IDS.keys()
    assert len(ID_FIELDS) > 35
    assert ("user.createApiKey", ("metadata", "organizationId")) in ID_FIELDS
    assert ("application.update", ("registryId",)) in ID_FIELDS


@surface
@pytest.mark.parametrize(("name", "path"), ID_FIELDS, ids=lambda value: value if isinstance(value, str) else value[-1])
def test_an_id_of_another_organisation_is_as_unknown_as_any(
    name: str, path: tuple[str, ...], ask: Ask, alice: User, charlie: User, documented: None, verdicts: Verdicts
) -> None:
    """Everything else that is sent is Alice's own; each place for an id is tried alone."""
    theirs = {field: new_id() for field in IDS}
    theirs["projectId"] = theirs["environmentId"]
    theirs["applicationId"] = theirs["id"]
    theirs["organizationId"] = charlie.organisations.get().pk
    make_things(charlie.organisations.get(), charlie, theirs)
    api, procedure = Api(key_of(alice)), PROCEDURES[name]
    answers = []
    for value in (theirs[path[-1]], new_id(), "nope"):
        with nothing_changed():
            answers.append(ask(api, procedure, _with(procedure.example, path, value)))
    assert [answer.status for answer in answers] == [404, 404, 404]
    assert answers[0].value == answers[1].value == answers[2].value
    assert answers[0].message.endswith(" not found")
