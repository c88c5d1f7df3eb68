"""Dispatchers hand out places, a few at a time: two of them at once would fill each place twice."""

from organisations.models import Organisation


def take_turns() -> None:
    """Wait until no other dispatcher is at it, to the end of this transaction.

    Always the same row is locked, whatever is dispatched. SQLite, which has one writer, needs no lock.
    """
    Organisation.objects.select_for_update(no_key=True).order_by("pk").first()
