"""Saving only what was tested first: for programs, which ask once where people press Test and then Save.

They wait for the verdict; the row of the test is the truth about it. No transaction is open meanwhile.
"""

from dataclasses import dataclass, field

from organisations.models import Organisation, User
from registries import rotations, saving, testing
from registries.credentials import Credentials
from registries.models import Registry, RegistryTest, Rotation
from servers import docker, watching
from servers.models import Server

DEADLINE_SECONDS = 90.0  # a little more than a test may take (servers.stages.TASK_SECONDS)
# Where a test on dokreg's own host ends if there is no Docker to test with: nothing is known of the registry then.
NAME_A_SERVER = "Name the server that will pull (serverId), and it is tested there."
BEFORE_THE_LOGIN = frozenset({"cli", "daemon"})


class NotProven(Exception):
    """The credentials did not pass; `str()` says the cause, what to do, and then Docker's own words."""


class NotOver(Exception):
    """No verdict came in time; `str()` is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That credentials passed on a host; `reservation` says why they could not be tested, if so."""

    test: RegistryTest | None = None
    reservation: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be saved: the row as it shall be, its credentials, and the new secret (None keeps the stored one)."""

    registry: Registry
    credentials: Credentials
    new_secret: str | None = field(repr=False)
    image: str = ""


def prove(*, organisation: Organisation, what: Credentials, server: Server | None, image: str, by: User) -> Proof:
    """Test credentials that are not saved. Raises NotProven, NotOver, watching.TooManyWait.

    Where no server is named and dokreg's own host has no Docker they cannot be tested: the proof says so.
    """
    if server is None and not docker.own_host_has_docker():
        return Proof(reservation=f"{docker.OWN_HOST} has no Docker to test with. {NAME_A_SERVER}")
    test = testing.ask_for_draft(organisation=organisation, credentials=what, server=server, image=image, asked_by=by)
    _wait_for(test)
    rung = test.failing_rung
    if server is None and rung is not None and rung["state"] == "failed" and rung["name"] in BEFORE_THE_LOGIN:
        return Proof(test, reservation=f"{sentences_of(test)}\n{NAME_A_SERVER}")
    _check_passed(test)
    return Proof(test)


def prove_saved(*, registry: Registry, server: Server | None, image: str = "", by: User) -> RegistryTest:
    """Test a saved registry on a server, or on dokreg's own host for None. Raises as `prove`."""
    test = testing.ask(registry=registry, server=server, image=image, asked_by=by)
    _wait_for(test)
    _check_passed(test)
    return test


def save_proven(*, wish: Wish, by: User) -> Proof:
    """Save a registry once its credentials have passed: on its own server, and on every one that uses it.

    All or nothing: what does not pass leaves the row as it was. Raises NotProven, NotOver, watching.TooManyWait,
    saving.ChangedMeanwhile.
    """
    registry = wish.registry
    is_new = registry._state.adding
    if not is_new and not _is_to_be_proven(wish):
        saving.save_registry(registry=registry, password=wish.new_secret, by=by)
        return Proof()
    proof = prove(
        organisation=registry.organisation,
        what=wish.credentials,
        server=registry.server,
        image=wish.image,
        by=by,
    )
    if is_new or not rotations.is_in_use(registry):
        saving.save_registry(registry=registry, password=wish.new_secret, by=by)
    else:
        _rotate(wish, by=by)
    return proof


def sentences_of(test: RegistryTest) -> str:
    """Why a test failed: the cause and what to do, then Docker's own words."""
    rung = test.failing_rung or {}
    said = " ".join(filter(None, [str(rung.get("cause", "")), str(rung.get("fix", ""))]))
    words = str(rung.get("words", "")).strip()
    return f"{said or 'The test failed.'}\n{words}" if words else said or "The test failed."


def _is_to_be_proven(wish: Wish) -> bool:
    """Whether there is anything new about the credentials; who gives the stored ones anew wants them tried again."""
    return wish.new_secret is not None or wish.credentials.mark != wish.registry.credentials_mark


def _wait_for(test: RegistryTest) -> None:
    if not watching.wait_until_over(test, seconds=DEADLINE_SECONDS):
        raise NotOver(
            f"The test on {test.place} has not ended in {DEADLINE_SECONDS:.0f} s. Its page shows how it ends."
        )


def _check_passed(test: RegistryTest) -> None:
    if test.state != RegistryTest.State.PASSED:
        raise NotProven(sentences_of(test))


def _rotate(wish: Wish, *, by: User) -> None:
    """Let the new credentials be tested wherever the registry is used; only then is anything of the row changed."""
    before = Registry.objects.select_related("organisation", "server").get(pk=wish.registry.pk)
    plain = {name: getattr(wish.registry, name) for name in saving.PLAIN_COLUMNS}
    for name in saving.PLAIN_COLUMNS:
        setattr(wish.registry, name, getattr(before, name))
    rotation = saving.save_registry(registry=wish.registry, password=wish.new_secret, by=by)
    if rotation is not None:
        _wait_for_switch(rotation)
    fresh = Registry.objects.select_related("organisation", "server").get(pk=wish.registry.pk)
    for name, value in plain.items():
        setattr(fresh, name, value)
    saving.save_registry(registry=fresh, password=None, by=by)


def _wait_for_switch(rotation: Rotation) -> None:
    under_way = Rotation.objects.filter(pk=rotation.pk, state__in=rotations.UNDER_WAY)
    is_over = watching.wait_until(lambda: not under_way.exists(), seconds=DEADLINE_SECONDS)
    rotation.refresh_from_db()
    if rotation.state == Rotation.State.SWITCHED:
        return
    if not is_over:
        raise NotOver(
            f"The new credentials are still being tested on the servers that use them, after {DEADLINE_SECONDS:.0f} s. "
            "They are switched to once all have passed; the registry's page shows it."
        )
    sentence = _why_kept(rotation)
    rotations.discard(rotation)
    raise NotProven(sentence)


def _why_kept(rotation: Rotation) -> str:
    """Which servers could not log in with the new credentials, and why the first could not."""
    failed = [test for test in rotation.tests.order_by("server_name") if test.state != RegistryTest.State.PASSED]
    if not failed:
        reason = " ".join(filter(None, [rotation.cause, rotation.fix])) or "They were replaced by newer ones."
        return f"The old credentials stay in force. {reason}"
    names = ", ".join(test.server_name for test in failed)
    return f"The old credentials stay in force: {names} could not log in with the new ones. {sentences_of(failed[0])}"
