"""Which test a registry was put to last, and which last on each server: what the lists and the fleet's matrix show."""

from collections.abc import Iterable

from registries.models import Registry, RegistryTest, Standing


def note(tests: Iterable[RegistryTest]) -> None:
    """Tests of saved registries, oldest first, are sent: each is now the last one of its registry, and of the pair."""
    last: dict[str, RegistryTest] = {test.registry_id: test for test in tests if test.registry_id}
    for registry_id, test in last.items():
        Registry.objects.filter(pk=registry_id).update(last_test=test)
    note_on_servers(tests)


def note_on_servers(tests: Iterable[RegistryTest]) -> None:
    """The same for the pairs alone: what stopped at the server says nothing about the registry as a whole."""
    pairs = {(test.registry_id, test.server_id): test for test in tests if test.registry_id and test.server_id}
    Standing.objects.bulk_create(
        [
            Standing(organisation_id=test.organisation_id, registry_id=registry_id, server_id=server_id, last_test=test)
            for (registry_id, server_id), test in pairs.items()
        ],
        update_conflicts=True,
        unique_fields=["registry", "server"],
        update_fields=["last_test"],
    )
