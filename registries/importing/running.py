"""Runs an import: as a person of the organisation, in one transaction, for show or in earnest."""

from collections.abc import Callable, Iterable

from django.db import transaction

from dokreg import permissions
from organisations import audit
from organisations.models import Membership, Organisation, User
from registries.importing.report import Report


class CannotImport(Exception):
    """Nothing is imported; `str()` is a sentence for people, without any secret."""


def membership_for(*, slug: str, username: str, needs: Iterable[str]) -> Membership:
    """The membership that an import runs under. Raises CannotImport if there is none, or it lacks a permission."""
    needed = sorted(set(needs))
    permissions.check_known(needed)
    if not Organisation.objects.filter(slug=slug).exists():
        raise CannotImport(f"There is no organisation “{slug}”. Make one with: manage.py create_organisation")
    if not User.objects.filter(username=username, is_active=True).exists():
        raise CannotImport(f"There is no user “{username}” who may sign in.")
    found = Membership.objects.select_related("organisation", "user")
    membership = found.filter(organisation__slug=slug, user__username=username).first()
    if membership is None:
        raise CannotImport(f"{username} is no member of {slug}: name a member in --by.")
    if missing := [name for name in needed if name not in membership]:
        raise CannotImport(f"{username} lacks these permissions in {slug}: {', '.join(missing)}.")
    return membership


def run(work: Callable[[Report], None], *, by: User, apply: bool) -> Report:
    """Do the work as this person, all or nothing; without `apply` it is taken back at the end.

    So a dry run is the very same work, and says what the other one does: the same forms and the same constraints of
    the database have judged it. What the work hands to workers they get after the commit, or never.
    """
    report = Report()
    with audit.acting(by), transaction.atomic():
        work(report)
        if not apply:
            transaction.set_rollback(True)
    return report
