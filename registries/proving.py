"""Saving only what was tested first: for programs, which ask once where people press Test and then Save.

They wait for the verdict; the row of the test is the truth about it. No transaction is open meanwhile, so that what
others have changed in that time is found out before anything is saved, and left as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction

from organisations.models import Organisation, User
from registries import rotations, saving, testing
from registries.credentials import Credentials
from registries.models import Registry, RegistryTest, Rotation
from registries.saving import ChangedMeanwhile
from servers import docker, watching
from servers.models import Server

DEADLINE_SECONDS = 90.0  # a little more than a test may take (servers.stages.TASK_SECONDS)
NAME_A_SERVER = "Name the server that will pull (serverId), and it is tested there."
# Where a test on dokreg's own host ends if there is no Docker to test with: nothing is known of the registry then.
BEFORE_THE_LOGIN = frozenset({"cli", "daemon"})
# What a wish may change; what it does not stays as it is by then.
COLUMNS = (
    "name", "image_prefix", "server_id", "kind", "url", "username", "method", "account", "secret_ends_on",
)  # fmt: skip
# If one of these has changed since it was read, nobody has tested what would be saved.
OF_THE_CREDENTIALS = ("kind", "url", "username", "method", "account", "credentials_mark")


class NotProven(Exception):
    """The credentials did not pass; `str()` says the cause, what to do, and then Docker's own words."""


class NotOver(Exception):
    """No verdict came in time; `str()` is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That credentials passed on a host.

    `reservation` says why they could not be tested, if so; `warning` what is doubtful although they passed.
    """

    reservation: str = ""
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be saved: the row as it shall be, its credentials, the new secret (None keeps the stored one).

    `before` is what stood in the row when it was read; empty for a new one. `check` is asked right before anything is
    saved, and raises what it likes if whoever wished may not do so any more.
    """

    registry: Registry
    credentials: Credentials
    new_secret: str | None = field(repr=False)
    before: dict[str, Any]
    check: Callable[[], object]
    image: str = ""

    @property
    def changed(self) -> list[str]:
        return [name for name in COLUMNS if getattr(self.registry, name) != self.before.get(name)]

    @property
    def is_to_be_proven(self) -> bool:
        """Whether anything is new about the credentials or where they are tested.

        Whoever gives the stored ones anew wants them tried again.
        """
        is_same = self.credentials.mark == self.before.get("credentials_mark")
        return self.new_secret is not None or not is_same or "server_id" in self.changed


def as_read(registry: Registry) -> dict[str, Any]:
    """What stands in a row, to tell later what has changed."""
    return {name: getattr(registry, name) for name in (*COLUMNS, "credentials_mark")}


def prove(*, organisation: Organisation, what: Credentials, server: Server | None, image: str, by: User) -> Proof:
    """Test credentials that are not saved. Raises NotProven, NotOver, watching.TooManyWait.

    Where no server is named and dokreg's own host has no Docker they cannot be tested: the proof says so.
    """
    with watching.place(organisation.pk):
        return _prove(organisation, what, server, image, by)


def prove_saved(*, registry: Registry, server: Server | None, image: str = "", by: User) -> None:
    """Test a saved registry on a server, or on dokreg's own host for None. Raises as `prove`."""
    with watching.place(registry.organisation_id):
        test = testing.ask(registry=registry, server=server, image=image, asked_by=by)
        _wait_for(test)
    _check_passed(test)


def add_proven(*, wish: Wish, by: User) -> Proof:
    """Save a new registry once its credentials have passed; untested where they cannot be tested.

    Raises NotProven, NotOver, watching.TooManyWait, saving.ChangedMeanwhile.
    """
    registry = wish.registry
    with watching.place(registry.organisation_id):
        proof = _prove(registry.organisation, wish.credentials, registry.server, wish.image, by)
        _save(registry, wish, by)
    return proof


def change_proven(*, wish: Wish, by: User) -> None:
    """Change a registry once its credentials have passed: on its own server, and on every one that uses it.

    All or nothing: what does not pass, or cannot be tested, leaves the row as it was; and of what others have changed
    meanwhile nothing is changed back. Raises as `add_proven`.
    """
    registry = wish.registry
    with watching.place(registry.organisation_id):
        if wish.is_to_be_proven:
            proof = _prove(registry.organisation, wish.credentials, registry.server, wish.image, by)
            if proof.reservation:
                raise NotProven(proof.reservation)
        rotation = _save(registry, wish, by)
        if rotation is not None:
            _wait_for_switch(rotation)


def _prove(organisation: Organisation, what: Credentials, server: Server | None, image: str, by: User) -> Proof:
    if server is None and not docker.own_host_has_docker():
        return Proof(reservation=f"{docker.OWN_HOST} has no Docker to test with. {NAME_A_SERVER}")
    test = testing.ask_for_draft(organisation=organisation, credentials=what, server=server, image=image, asked_by=by)
    _wait_for(test)
    rung = test.failing_rung
    if server is None and rung is not None and rung["state"] == "failed" and rung["name"] in BEFORE_THE_LOGIN:
        return Proof(reservation=f"{test.explanation_with_words}\n{NAME_A_SERVER}")
    _check_passed(test)
    return Proof(warning=test.explanation)


def _wait_for(test: RegistryTest) -> None:
    if not watching.wait_until_over(test, seconds=DEADLINE_SECONDS):
        raise NotOver(
            f"The test on {test.place} has not ended in {DEADLINE_SECONDS:.0f} s. Its page shows how it ends."
        )


def _check_passed(test: RegistryTest) -> None:
    if test.state != RegistryTest.State.PASSED:
        raise NotProven(test.explanation_with_words or "The test failed.")


def _save(registry: Registry, wish: Wish, by: User) -> Rotation | None:
    """Save what was wished into the row as it is by now."""
    try:
        with transaction.atomic():
            wish.check()
            row = registry if registry._state.adding else _locked(registry, wish)
            if not registry._state.adding:
                for name in wish.changed:
                    setattr(row, name, getattr(registry, name))
            if row.server_id and not Server.objects.filter(pk=row.server_id).exists():
                raise ChangedMeanwhile("The server on which it is tested was deleted by somebody else in the meantime.")
            return saving.save_registry(registry=row, password=wish.new_secret, by=by, all_or_nothing=True)
    except IntegrityError as error:
        raise ChangedMeanwhile(f"Another registry is called “{registry.name}” by now.") from error


def _locked(registry: Registry, wish: Wish) -> Registry:
    rows = Registry.objects.select_for_update(of=("self",)).select_related("organisation")
    row = rows.filter(pk=registry.pk).first()
    if row is None:
        raise ChangedMeanwhile("It was deleted by somebody else in the meantime.")
    if any(getattr(row, name) != wish.before[name] for name in OF_THE_CREDENTIALS):
        raise ChangedMeanwhile(
            "Its credentials were changed by somebody else in the meantime, so that nobody has tested them with yours. "
            "Nothing is saved; ask again."
        )
    return row


def _wait_for_switch(rotation: Rotation) -> None:
    under_way = Rotation.objects.filter(pk=rotation.pk, state__in=rotations.UNDER_WAY)
    is_over = watching.wait_until(lambda: not under_way.exists(), seconds=DEADLINE_SECONDS)
    found = Rotation.objects.filter(pk=rotation.pk).first()
    if found is None:
        raise ChangedMeanwhile("It was deleted by somebody else in the meantime.")
    if found.state == Rotation.State.SWITCHED:
        return
    if found.state == Rotation.State.DISCARDED:
        raise ChangedMeanwhile("Newer credentials have taken the place of these in the meantime.")
    if not is_over:
        raise NotOver(
            f"The new credentials are still being tested on the servers that use them, after {DEADLINE_SECONDS:.0f} s. "
            "All that was sent is switched to once all have passed; the registry's page shows it."
        )
    sentence = _why_kept(found)
    rotations.discard(found)
    raise NotProven(f"The old credentials stay in force. {sentence}")


def _why_kept(rotation: Rotation) -> str:
    """Which servers could not log in with the new credentials, and why the first could not."""
    failed = [test for test in rotation.tests.order_by("server_name") if test.state != RegistryTest.State.PASSED]
    if not failed:
        return f"{rotation.cause} {rotation.fix}".strip()
    names = ", ".join(test.server_name for test in failed)
    return f"{names} could not log in with the new ones. {failed[0].explanation_with_words}"
