"""Deleting what nothing uses: refused otherwise, naming by what."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import RESTRICT, Count, ManyToOneRel, Model

MOST_NAMED = 20


class StillUsed(Exception):
    """Something cannot be deleted because other rows need it; `users` are their names."""

    def __init__(self, thing: Model, users: list[str]) -> None:
        super().__init__(f"“{thing}” is still used by {', '.join(users)}.")
        self.users = users


def used_by(thing: Model) -> list[str]:
    """What refers to a row and needs it, in words: `server web-1`. Tests are history, not use.

    Read from the relations that the models declare with on_delete=RESTRICT, so that every app's rows are named
    without being imported.
    """
    names: list[str] = []
    for relation in _uses_of(type(thing)):
        rows = relation.related_model._default_manager.filter(**{relation.field.name: thing})
        names += [f"{row._meta.verbose_name} {row}" for row in rows[:MOST_NAMED]]
    return names


def count_users(things: Sequence[Model]) -> dict[str, int]:
    """How many rows use each of these rows of one model, by primary key; one query per kind of use."""
    counts: dict[str, int] = {}
    for relation in _uses_of(type(things[0])) if things else []:
        rows = relation.related_model._default_manager.filter(**{f"{relation.field.name}__in": things})
        for pk, number in rows.order_by().values_list(relation.field.attname).annotate(number=Count("pk")):
            counts[pk] = counts.get(pk, 0) + number
    return counts


def delete_unless_used(thing: Model) -> None:
    """Delete a row with its history; raises StillUsed."""
    with transaction.atomic():
        users = used_by(thing)
        if users:
            raise StillUsed(thing, users)
        thing.delete()


def _uses_of(model: type[Model]) -> list[ManyToOneRel]:
    return [
        relation
        for relation in model._meta.related_objects
        if isinstance(relation, ManyToOneRel) and relation.on_delete is RESTRICT
    ]
