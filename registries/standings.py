"""Which test a registry was put to last, and which last on each server: what the lists and the fleet's matrix show."""

from collections.abc import Callable, Iterable, Sequence

from django.db import IntegrityError, transaction

from registries.models import Registry, RegistryTest, Standing


def note(tests: Iterable[RegistryTest]) -> None:
    """Tests of saved registries, oldest first, are sent: each is now the last one of its registry, and of the pair."""
    last: dict[str, RegistryTest] = {test.registry_id: test for test in tests if test.registry_id}
    for registry_id, test in sorted(last.items()):
        Registry.objects.filter(pk=registry_id).update(last_test=test, tested_at=test.created_at)
    note_on_servers(tests)


def note_on_servers(tests: Iterable[RegistryTest]) -> None:
    """The same for the pairs alone: what stopped at the server says nothing about the registry as a whole."""
    pairs = {(test.registry_id, test.server_id): test for test in tests if test.registry_id and test.server_id}
    Standing.objects.bulk_create(
        [
            Standing(organisation_id=test.organisation_id, registry_id=registry_id, server_id=server_id, last_test=test)
            for (registry_id, server_id), test in sorted(pairs.items())  # who writes the same ones waits, in one order
        ],
        update_conflicts=True,
        unique_fields=["registry", "server"],
        update_fields=["last_test"],
    )


def note_what_is_there(tests: Sequence[RegistryTest], note: Callable[[Iterable[RegistryTest]], None]) -> None:
    """Note tests after the transaction in which they were sent: by now a registry or a server may be deleted."""
    try:
        with transaction.atomic():
            note(tests)
    except IntegrityError:
        for test in tests if len(tests) > 1 else ():
            note_what_is_there([test], note)
