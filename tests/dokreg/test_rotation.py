"""New keys: every secret is encrypted anew, in the middle of everything, and a wrong key is refused."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import serializers
from django.core.checks import run_checks
from django.core.management import CommandError, call_command

from dokreg import rotation
from dokreg.checks import WrongKeys, plant_canary, verify_keys
from dokreg.encryption import SecretUnreadable, secret_fields
from dokreg.keys import new_key
from dokreg.models import KeyCanary
from organisations.models import Organisation
from registries.models import Registry

pytestmark = pytest.mark.django_db
UseKeys = Callable[..., None]


def forget_ciphers() -> None:
    for field in secret_fields():
        for name in ("keys", "fernet_keys", "fernet"):
            field.__dict__.pop(name, None)


@pytest.fixture
def use_keys(settings: Any) -> Iterator[UseKeys]:
    def use(*keys: str) -> None:
        settings.FERNET_KEYS = list(keys)
        forget_ciphers()

    yield use
    forget_ciphers()


@pytest.fixture
def keys(use_keys: UseKeys) -> tuple[str, str]:
    old, new = new_key(), new_key()
    use_keys(old)
    KeyCanary.objects.all().delete()
    plant_canary()
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    for number in range(5):
        Registry.objects.create(
            organisation=organisation,
            name=str(number),
            kind="generic",
            url="r",
            username="u",
            password=f"pw{number}",
        )
    return old, new


def revealed() -> list[str]:
    return [registry.open_password() for registry in Registry.objects.order_by("name")]


def test_after_it_the_new_key_alone_opens_everything(keys: tuple[str, str], use_keys: UseKeys) -> None:
    old, new = keys
    use_keys(new, old)
    call_command("rotate_keys", verbosity=0)
    use_keys(new)
    verify_keys()
    assert revealed() == ["pw0", "pw1", "pw2", "pw3", "pw4"]


def test_it_may_be_broken_off_and_run_again(
    keys: tuple[str, str], use_keys: UseKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = keys
    use_keys(new, old)
    monkeypatch.setattr(rotation, "BATCH", 2)

    def break_off(progress: rotation.Progress) -> None:
        if progress.column == "registries.Registry.password":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotation.rotate(report=break_off)
    assert rotation.count_by_key()["registries.Registry.password"] == Counter({1: 2, 2: 3})
    use_keys(new)
    with pytest.raises(WrongKeys):
        verify_keys()
    use_keys(new, old)
    assert rotation.rotate(report=lambda _progress: None) == 0
    use_keys(new)
    assert revealed() == ["pw0", "pw1", "pw2", "pw3", "pw4"]


def test_an_edit_at_the_same_moment_wins(keys: tuple[str, str], use_keys: UseKeys) -> None:
    old, new = keys
    use_keys(new, old)
    field = next(field for field in secret_fields() if field.model is Registry)
    row = next(rotation._batches(field))[0]
    registry = Registry.objects.get(pk=row.pk)
    registry.password = "edited"
    registry.save()
    assert not rotation._swap(field, row)
    assert Registry.objects.get(pk=row.pk).open_password() == "edited"


def test_what_is_put_back_behind_it_keeps_the_old_key_needed(
    keys: tuple[str, str], use_keys: UseKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = keys
    use_keys(new, old)
    stale = Registry.objects.get(name="0")
    rotate = rotation.rotate

    def and_put_one_back(**options: Any) -> int:
        unreadable = rotate(**options)
        stale.save()
        return unreadable

    monkeypatch.setattr(rotation, "rotate", and_put_one_back)
    with pytest.raises(CommandError, match="1 secrets were written with another key"):
        call_command("rotate_keys", verbosity=0)
    monkeypatch.setattr(rotation, "rotate", rotate)
    call_command("rotate_keys", verbosity=0)
    use_keys(new)
    assert revealed() == [f"pw{number}" for number in range(5)]


def test_what_no_key_opens_is_left_alone_and_counted(keys: tuple[str, str], use_keys: UseKeys) -> None:
    _old, new = keys
    use_keys(new)
    with pytest.raises(CommandError, match="6 secrets are opened by none"):
        call_command("rotate_keys", verbosity=0)
    use_keys(keys[0])
    assert revealed() == ["pw0", "pw1", "pw2", "pw3", "pw4"]


def test_with_a_wrong_key_the_check_refuses_and_nothing_is_overwritten(
    keys: tuple[str, str], use_keys: UseKeys
) -> None:
    use_keys(new_key())
    assert [message.id for message in run_checks() if message.id == "dokreg.E001"] == ["dokreg.E001"]
    plant_canary()
    with pytest.raises(SecretUnreadable):
        revealed()
    use_keys(keys[0])
    verify_keys()


def test_check_counts_what_each_key_opens(keys: tuple[str, str], use_keys: UseKeys) -> None:
    use_keys(keys[1], keys[0])
    assert rotation.count_by_key()["registries.Registry.password"] == Counter({2: 5})


def test_without_a_canary_the_secrets_themselves_are_asked(keys: tuple[str, str], use_keys: UseKeys) -> None:
    KeyCanary.objects.all().delete()
    verify_keys()
    use_keys(new_key())
    with pytest.raises(WrongKeys):
        plant_canary()
    assert not KeyCanary.objects.exists()


def test_a_dump_brings_the_secrets_back(keys: tuple[str, str]) -> None:
    dump = serializers.serialize("json", [*Registry.objects.all(), *KeyCanary.objects.all()])
    Registry.objects.all().delete()
    for row in serializers.deserialize("json", dump):
        row.save()
    assert revealed() == ["pw0", "pw1", "pw2", "pw3", "pw4"]
    verify_keys()
