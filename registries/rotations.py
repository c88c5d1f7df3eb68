"""New credentials for a registry in use: staged, tested on every server that uses it, and only then switched to.

Until every one of those servers has logged in with them the old ones stay in force. Where one could not, they stay
as well, and people see where it failed; the new ones are kept for an hour, to switch all the same.
"""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Prefetch, Q
from django.utils import timezone

from dokreg.database import patiently
from dokreg.encryption import SecretUnreadable
from organisations import audit
from organisations.models import User
from registries import batches, credentials, logins, pullers, testing, tokens, verdicts
from registries.credentials import DockerLogin
from registries.kinds.methods import Minted, MintFailed
from registries.models import Login, Registry, RegistryTest, Rotation, TestBatch
from servers import runs
from servers import verdicts as host_verdicts
from servers.ladder import MAX_WORDS, clean, without_secrets
from servers.models import Server
from servers.testing import place_of
from servers.verdicts import Verdict

log = logging.getLogger(__name__)
State = Rotation.State
KEPT_FOR = dt.timedelta(hours=1)
RESEND_AFTER = dt.timedelta(seconds=60)  # longer than minting may take
UNDER_WAY = (State.STAGED, State.TESTING)
UNFINISHED = {RegistryTest.State.QUEUED, RegistryTest.State.RUNNING}
WIPED = {"password": None, "token": None, "expires_at": None}


def is_in_use(registry: Registry) -> bool:
    """Whether servers stay logged in or something pulls with it, so that wrong credentials would do harm."""
    return registry.logins.exclude(state=Login.State.LEAVING).exists() or bool(pullers.of(registry))


def dependents(registry: Registry) -> list[str]:
    """What depends on a registry's credentials, a sentence each."""
    number = registry.logins.exclude(state=Login.State.LEAVING).count()
    logins = [f"{number} server{'s stay' if number > 1 else ' stays'} logged in with it."] if number else []
    return logins + [found.sentence for found in pullers.of(registry)]


def to_show(registry: Registry) -> Rotation | None:
    """The rotation that the registry's page speaks of: under way, or ended without a switch, until the next change."""
    tests = RegistryTest.objects.select_related("server", "organisation")
    found = (
        registry.rotations.select_related("registry__organisation").prefetch_related(Prefetch("tests", tests)).first()
    )
    return found if found is not None and (found.is_under_way or found.state == State.KEPT) else None


def stage(*, registry: Registry, by: User, also: Mapping[str, Any] | None = None) -> Rotation:
    """Stage the credentials that stand on a registry's instance, which is not saved with them.

    `also` are columns that change with them, or not at all: of `name`, `image_prefix`, `server_id`. Takes the place of
    a rotation that is under way, or waits for a decision. Raises SecretUnreadable.
    """
    password = registry.open_password()
    with transaction.atomic():
        end_all(registry)
        rotation = Rotation(
            organisation=registry.organisation,
            registry=registry,
            asked_by=by,
            kind=registry.kind,
            url=registry.url,
            username=registry.username,
            method=registry.method,
            account=registry.account,
            secret_ends_on=registry.secret_ends_on,
            also=dict(also or {}),
        )
        rotation.password = password or None
        rotation.save()
        audit.record("staged new credentials", registry, actor=by)
        _send(rotation)
    return rotation


def end_all(registry: Registry) -> None:
    """Forget what is staged for a registry."""
    for rotation in registry.rotations.filter(Q(state__in=(*UNDER_WAY, State.KEPT))):
        _forget(rotation)


def discard(rotation: Rotation) -> bool:
    """Forget staged credentials; the old ones stay. False if they have been switched to, or are gone already."""
    with transaction.atomic():
        is_discarded = _forget(rotation)
        if is_discarded:
            audit.record("discarded new credentials", rotation.registry)
    return is_discarded


def prepare(rotation_id: str) -> None:
    """Mint the first token if there is one, and ask for the tests; leaves quietly if another worker has done it."""
    now = timezone.now()
    waits = Q(sent_at=None) | Q(sent_at__lte=now - RESEND_AFTER)
    waiting = Rotation.objects.filter(waits, pk=rotation_id, state=State.STAGED)
    if not patiently(lambda: waiting.update(sent_at=now)):
        return
    rows = Rotation.objects.select_related("registry__organisation", "asked_by")
    rotation = patiently(rows.filter(pk=rotation_id).first)
    if rotation is None:
        return  # deleted at this moment, with its registry
    try:
        what = credentials.staged(rotation)
        minted = what.mint() if what.method else None
    except MintFailed as error:
        hidden = [what.password]
        words, verdict = clean(error.words, hidden)[:MAX_WORDS], without_secrets(error.verdict, hidden)
        patiently(lambda: _keep_old(rotation, verdict, words=words))
        return
    except SecretUnreadable:
        patiently(lambda: _keep_old(rotation, host_verdicts.secret_unreadable()))
        return
    except Exception as error:  # noqa: BLE001 - somebody waits for the end of it, whatever happens
        log.error("A rotation ended with %s at %s", type(error).__name__, place_of(error))  # noqa: TRY400
        patiently(lambda: _keep_old(rotation, host_verdicts.internal_error()))
        return
    patiently(lambda: _begin_tests(rotation, minted))  # a token that is not kept would have to be minted once more
    patiently(lambda: settle(rotation_id))  # if nothing uses the registry any more, nothing is to be tested


@transaction.atomic
def _begin_tests(rotation: Rotation, minted: Minted | None) -> None:
    if minted is not None:
        rotation.token, rotation.username = minted.secret, minted.username
    changed = Rotation.objects.filter(pk=rotation.pk, state=State.STAGED).update(
        state=State.TESTING,
        token=rotation.token,
        username=rotation.username,
        token_issued_at=minted.issued_at if minted else None,
        token_expires_at=minted.expires_at if minted else None,
    )
    if changed:
        _plan_tests(rotation)


def after(test: RegistryTest) -> None:
    """A test of staged credentials is over."""
    if (rotation_id := test.rotation_id) is not None:
        patiently(lambda: settle(rotation_id))


def settle(rotation_id: str) -> None:
    """Switch once every server that uses the registry has passed; keep the old credentials once one has not."""
    with transaction.atomic():
        rotation = _locked(rotation_id)
        if rotation is None or rotation.state != State.TESTING:
            return
        ended_as = dict(rotation.tests.values_list("server", "state"))
        if not UNFINISHED.isdisjoint(ended_as.values()):
            return
        servers = _places(rotation.registry)
        untested = [server.name for server in servers if server.pk not in ended_as]
        if untested:
            _keep_old(rotation, verdicts.not_tested(servers=", ".join(untested)))
        elif obstacle := _obstacle(rotation):
            _keep_old(rotation, obstacle)
        elif all(ended_as[server.pk] == RegistryTest.State.PASSED for server in servers):
            with audit.acting(rotation.asked_by):
                _switch(rotation, by=rotation.asked_by)
        else:
            _keep_old(rotation, None)


def _obstacle(rotation: Rotation) -> Verdict | None:
    """What has become impossible meanwhile of what is to change with the credentials."""
    name = rotation.also.get("name", rotation.registry.name)
    others = Registry.objects.filter(organisation=rotation.organisation_id, name=name).exclude(pk=rotation.registry_id)
    if others.exists():
        return verdicts.name_taken(name=name)
    server = rotation.also.get("server_id")
    if server and not Server.objects.filter(pk=server).exists():
        return verdicts.test_server_gone()
    return None


def switch_anyway(rotation: Rotation, *, by: User) -> bool:
    """Switch although not every server could log in; False if it cannot be any more."""
    with transaction.atomic():
        found = _locked(rotation.pk)
        if found is None or found.state != State.KEPT or found.expires_at is None or found.expires_at <= timezone.now():
            return False
        if _obstacle(found):
            return False
        _switch(found, by=by)
    return True


def sweep() -> None:
    """Send again what nobody took up, settle what nobody settled, wipe what was kept long enough."""
    now = timezone.now()
    for rotation in Rotation.objects.filter(state=State.STAGED, created_at__lt=now - runs.GIVE_UP_AFTER):
        _keep_old(rotation, host_verdicts.internal_error())  # each worker that took it up died, or broke down
    stuck = Rotation.objects.filter(state=State.STAGED, created_at__lt=now - runs.RESEND_AFTER)
    for rotation in stuck.filter(Q(sent_at=None) | Q(sent_at__lte=now - RESEND_AFTER)):
        _send(rotation)
    Rotation.objects.filter(state=State.KEPT, expires_at__lte=now).update(**WIPED)
    for rotation_id in Rotation.objects.filter(state=State.TESTING).values_list("pk", flat=True):
        try:
            settle(rotation_id)
        except Exception as error:  # noqa: BLE001 - one that cannot be settled must not hold up the others
            # The type and the place alone: the text may hold what was being worked with.
            log.error("A rotation could not be settled: %s at %s", type(error).__name__, place_of(error))  # noqa: TRY400


def keep_all_old() -> None:
    """End whatever is under way without a switch, and forget the new credentials, also where a person may still switch.

    They are of another time: since then a registry may have got others.
    """
    for rotation in Rotation.objects.filter(state__in=UNDER_WAY).select_related("registry"):
        _keep_old(rotation, host_verdicts.restored())
    Rotation.objects.update(**WIPED)


def _places(registry: Registry) -> list[Server]:
    """The servers that use a registry: those that stay logged in or pull, and the one where it is tested."""
    holding = set(registry.logins.exclude(state=Login.State.LEAVING).values_list("server", flat=True))
    pulling = pullers.servers_of(registry) | {registry.server_id}
    return list(Server.objects.filter(pk__in=holding | pulling))


def _plan_tests(rotation: Rotation) -> None:
    """A test of the staged credentials on each server; they are no tests of the registry until it is switched."""
    servers = _places(rotation.registry)
    batch = TestBatch.objects.create(
        organisation=rotation.organisation,
        registry=rotation.registry,
        rotation=rotation,
        asked_by=rotation.asked_by,
        total=len(servers),
    )
    RegistryTest.objects.bulk_create(
        RegistryTest(
            organisation=rotation.organisation,
            rotation=rotation,
            batch=batch,
            server=server,
            server_name=server.name,
            kind=rotation.kind or rotation.registry.kind,
            url=rotation.url,
            username=rotation.username,
            image_prefix=rotation.also.get("image_prefix", rotation.registry.image_prefix),
            method=rotation.method,
            account=rotation.account,
            asked_by=rotation.asked_by,
            sent_at=None,
        )
        for server in servers
    )
    transaction.on_commit(batches.pump)


def _forget(rotation: Rotation) -> bool:
    """Discard a rotation, with the tests that no worker has begun; False if it is switched or discarded already."""
    waiting = Q(state__in=UNDER_WAY) | Q(state=State.KEPT)
    forgotten = Rotation.objects.filter(waiting, pk=rotation.pk).update(
        state=State.DISCARDED, finished_at=timezone.now(), **WIPED
    )
    if forgotten:
        rotation.tests.filter(state=RegistryTest.State.QUEUED).delete()
    return bool(forgotten)


def _locked(rotation_id: str) -> Rotation | None:
    """A rotation and its registry as they are now, which nobody else changes during this transaction.

    The registry is locked first, as by everybody who changes its credentials.
    """
    registries = Registry.objects.select_for_update(of=("self",)).select_related("organisation")
    registry = registries.filter(rotations=rotation_id).first()
    if registry is None:
        return None
    rotations = registry.rotations.select_for_update(of=("self",)).select_related("asked_by")
    return rotations.filter(pk=rotation_id).first()


def _switch(rotation: Rotation, *, by: User | None) -> None:
    registry, new = rotation.registry, credentials.staged(rotation)
    is_same_secret = _is_stored(registry, new.password)
    registry.kind, registry.url, registry.username = new.kind, new.url, new.username
    for name, value in rotation.also.items():
        setattr(registry, name, value)
    registry.method, registry.account = rotation.method, rotation.account
    registry.secret_ends_on = rotation.secret_ends_on
    registry.password = new.password or None
    credentials.take(registry, secret_is_new=not is_same_secret)
    _take_token(registry, rotation)
    registry.save(update_fields=[*credentials.COLUMNS, "kind", *(name.removesuffix("_id") for name in rotation.also)])
    if "name" in rotation.also:
        logins.rename(registry)
    Rotation.objects.filter(pk=rotation.pk).update(state=State.SWITCHED, finished_at=timezone.now(), **WIPED)
    testing.adopt(registry=registry, tests=list(rotation.tests.order_by("created_at")))
    unlike = rotation.tests.exclude(state=RegistryTest.State.PASSED).values_list("server_name", flat=True)
    facts: dict[str, Any] = {"although_refused_on": ", ".join(unlike)} if unlike else {}
    audit.record("switched to new credentials", registry, actor=by, **facts)
    tokens.begin_with(registry)


def _is_stored(registry: Registry, secret: str) -> bool:
    try:
        return registry.open_password() == secret
    except SecretUnreadable:
        return False


def _take_token(registry: Registry, rotation: Rotation) -> None:
    """The token that was tested goes on being used."""
    if rotation.token is None or rotation.token_issued_at is None or rotation.token_expires_at is None:
        return
    minted = Minted(rotation.username, rotation.token.reveal(), rotation.token_issued_at, rotation.token_expires_at)
    registry.token = minted.secret
    registry.token_issued_at, registry.token_expires_at = minted.issued_at, minted.expires_at
    registry.refresh_due_at = tokens.due_after(minted)
    registry.login_mark = DockerLogin(registry.url, minted.username, minted.secret).mark


@transaction.atomic
def _keep_old(rotation: Rotation, verdict: Verdict | None, *, words: str = "") -> None:
    now = timezone.now()
    changed = Rotation.objects.filter(pk=rotation.pk, state__in=UNDER_WAY).update(
        state=State.KEPT,
        finished_at=now,
        expires_at=now + KEPT_FOR,
        cause=verdict.cause if verdict else "",
        fix=verdict.fix if verdict else "",
        words=words,
    )
    if changed:
        audit.record("kept the old credentials", rotation.registry, actor=None)


def _send(rotation: Rotation) -> None:
    from registries.tasks import prepare_rotation

    transaction.on_commit(lambda: runs.send_id(prepare_rotation, rotation.pk))
