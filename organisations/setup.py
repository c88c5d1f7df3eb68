"""The beginning: the one-time link, the first owner, and organisations."""

from collections.abc import Iterable, Iterator

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.text import slugify

from dokreg.ids import new_link_token
from organisations import audit
from organisations.models import RESERVED_SLUGS, Membership, Organisation, Role, SetupLink, User, token_hash

SLUG_LENGTH = 50
FALLBACK_SLUG = "organisation"


class SetupClosed(Exception):
    """There is an owner already, or the link is not the one that was made last."""


class SlugTaken(Exception):
    """Another organisation has this address."""


def is_needed() -> bool:
    """Whether nobody can sign in yet."""
    return not User.objects.exists()


def new_setup_link() -> str | None:
    """The address that opens the set-up of the first owner, once; None if there is a user.

    Ends earlier links.
    """
    if not is_needed():
        return None
    token = new_link_token()
    SetupLink.objects.update_or_create(pk=1, defaults={"token_hash": token_hash(token)})
    return str(settings.DOKREG_URL) + reverse("setup", kwargs={"token": token})


def is_open_for(token: str) -> bool:
    """Whether this link may set up the first owner."""
    return is_needed() and SetupLink.objects.filter(token_hash=token_hash(token)).exists()


def create_first_owner(*, token: str, organisation: str, username: str, email: str, password: str) -> User:
    """Make the first person and their organisation. Raises SetupClosed; of two at once only one succeeds."""
    with transaction.atomic():
        used = SetupLink.objects.filter(token_hash=token_hash(token)).delete()[0]
        if not used or not is_needed():
            raise SetupClosed
        owner = User.objects.create_superuser(username=username, email=email, password=password)
        audit.act_as(owner)
        create_organisation(name=organisation, owner=owner)
    return owner


def create_organisation(*, name: str, owner: User, slug: str = "") -> Organisation:
    """Make an organisation with its first owner. Without a slug, one is made from the name.

    Raises SlugTaken for a given slug that is in use.
    """
    with transaction.atomic():
        organisation = _insert(name, [slug] if slug else _slugs_for(name))
        Membership.objects.create(organisation=organisation, user=owner, role=Role.OWNER)
    return organisation


def _insert(name: str, slugs: Iterable[str]) -> Organisation:
    for slug in slugs:
        try:
            with transaction.atomic():
                return Organisation.objects.create(name=name, slug=slug)
        except IntegrityError:
            continue
    raise SlugTaken(f"Another organisation has the address “{slug}”.")


def _slugs_for(name: str) -> Iterator[str]:
    base = slugify(name)[:SLUG_LENGTH].strip("-_") or FALLBACK_SLUG
    taken = RESERVED_SLUGS.union(Organisation.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    number = 1
    while True:
        ending = f"-{number}" if number > 1 else ""
        slug = base[: SLUG_LENGTH - len(ending)] + ending
        if slug not in taken:
            yield slug
        number += 1
