"""A secret column: bound to its row, opened only where it is used, shown nowhere."""

import json
import logging
import pickle

import pytest
from django.core import serializers
from django.core.exceptions import FieldError, ValidationError
from django.db import connection, transaction
from django.db.models import Value
from django.forms import modelform_factory
from django.forms.models import model_to_dict

from dokreg.encryption import SecretUnreadable, secret_fields
from organisations.models import Organisation
from registries.models import Registry

pytestmark = pytest.mark.django_db
MARKED = "marked-$ecret-é\"'\\"


def make(organisation: Organisation, name: str = "one", password: str = MARKED) -> Registry:
    return Registry.objects.create(
        organisation=organisation, name=name, kind="generic", url="r.example", username="u", password=password
    )


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.objects.create(name="Acme", slug="acme")


def column_of(registry: Registry) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM registries_registry WHERE id = %s", [registry.pk])
        return bytes(cursor.fetchone()[0])


def write_column(registry: Registry, token: bytes) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE registries_registry SET password = %s WHERE id = %s",
            [connection.Database.Binary(token), registry.pk],  # type: ignore[attr-defined]
        )


@pytest.mark.parametrize("secret", [MARKED, " spaces ", "line\nbreak\n", "x" * 20_000, "päß😀"])
def test_it_comes_back_as_it_was_given(organisation: Organisation, secret: str) -> None:
    registry = make(organisation, password=secret)
    assert Registry.objects.get(pk=registry.pk).open_password() == secret


def test_the_instance_holds_no_clear_text_after_an_assignment(organisation: Organisation) -> None:
    registry = Registry(organisation=organisation, password=MARKED)
    assert MARKED not in repr(vars(registry))
    assert registry.open_password() == MARKED


def test_the_column_is_encrypted(organisation: Organisation) -> None:
    assert MARKED.encode() not in column_of(make(organisation))


def test_an_unread_value_goes_back_byte_for_byte(organisation: Organisation) -> None:
    registry = make(organisation)
    before = column_of(registry)
    again = Registry.objects.get(pk=registry.pk)
    again.name = "renamed"
    again.save()
    assert column_of(registry) == before


@pytest.mark.parametrize("value", [Value("x"), b"bytes", 7])
def test_it_takes_text_alone(organisation: Organisation, value: object) -> None:
    registry = make(organisation)
    setattr(registry, "password", value)  # noqa: B010 - not what the types allow
    with pytest.raises(TypeError), transaction.atomic():
        registry.save()
    assert Registry.objects.get(pk=registry.pk).open_password() == MARKED


def test_bulk_update_is_refused_and_destroys_nothing(organisation: Organisation) -> None:
    rows = [make(organisation, "one", "first"), make(organisation, "two", "second")]
    for row in rows:
        row.password = "new"
    with pytest.raises(TypeError), transaction.atomic():
        Registry.objects.bulk_update(rows, ["password"])
    assert [row.open_password() for row in Registry.objects.order_by("name")] == ["first", "second"]


def test_update_with_a_text_is_refused(organisation: Organisation) -> None:
    make(organisation)
    with pytest.raises(TypeError):
        Registry.objects.update(password="clear")


def test_bulk_create_encrypts_each_row_for_itself(organisation: Organisation) -> None:
    rows = [
        Registry(organisation=organisation, name=name, kind="generic", url="r", username="u", password=name)
        for name in ("one", "two")
    ]
    Registry.objects.bulk_create(rows)
    assert [row.open_password() for row in Registry.objects.order_by("name")] == ["one", "two"]


def test_a_value_moved_to_another_row_is_refused(organisation: Organisation) -> None:
    one, two = make(organisation, "one"), make(organisation, "two")
    write_column(two, column_of(one))
    with pytest.raises(SecretUnreadable, match="another row or column"):
        Registry.objects.get(pk=two.pk).open_password()


def test_one_unreadable_row_does_not_break_the_list(organisation: Organisation) -> None:
    broken = make(organisation, "broken")
    make(organisation, "whole")
    write_column(broken, b"gAAAAABnonsense")
    assert [registry.name for registry in Registry.objects.all()] == ["broken", "whole"]
    with pytest.raises(SecretUnreadable, match=f"registries.registry.password:{broken.pk}"):
        Registry.objects.get(pk=broken.pk).open_password()


def test_a_refusal_names_no_secret(organisation: Organisation) -> None:
    registry = make(organisation)
    token = column_of(registry)
    write_column(registry, token[:-4] + b"AAAA")
    with pytest.raises(SecretUnreadable) as refusal:
        Registry.objects.get(pk=registry.pk).open_password()
    assert MARKED not in str(refusal.value)
    assert token.decode() not in str(refusal.value)


def test_no_way_of_writing_it_down_shows_it(organisation: Organisation, caplog: pytest.LogCaptureFixture) -> None:
    registry = make(organisation)
    logging.getLogger("test").warning("%s %r %s", registry.password, registry.password, vars(registry))
    shown = [
        f"{registry.password} {registry.password!r} {registry.password:>20}",
        serializers.serialize("json", [registry]),
        str(model_to_dict(registry)),
        str(Registry.objects.values("password").get()),
        caplog.text,
    ]
    assert not [text for text in shown if MARKED in text or json.dumps(MARKED)[1:-1] in text]


def test_it_is_not_pickled(organisation: Organisation) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(make(organisation))


def test_a_dump_is_loaded_again(organisation: Organisation) -> None:
    assert '"enc:' in serializers.serialize("json", [make(organisation)])


def test_no_model_form_has_a_field_for_it() -> None:
    assert "password" not in modelform_factory(Registry, exclude=[]).base_fields


def test_it_cannot_be_searched_for(organisation: Organisation) -> None:
    make(organisation)
    with pytest.raises(FieldError):
        Registry.objects.filter(password=MARKED).exists()


@pytest.mark.parametrize("secret", ["\ud800", "nul\0", "x" * 70_000])
def test_what_cannot_be_handed_to_docker_is_refused(organisation: Organisation, secret: str) -> None:
    with pytest.raises(ValidationError):
        make(organisation, password=secret)


def test_every_secret_column_is_found() -> None:
    found = {f"{field.model.__name__}.{field.name}" for field in secret_fields()}
    assert found == {
        "Application.environment",
        "Application.webhook_key",
        "Application.webhook_secret",
        "Draft.password",
        "KeyCanary.value",
        "NotificationChannel.address",
        "Registry.password",
        "Registry.token",
        "Rotation.password",
        "Rotation.token",
        "RegistryTest.draft_password",
        "SSHKey.private_key",
    }
