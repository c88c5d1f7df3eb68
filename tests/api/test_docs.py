"""The page about the API for people."""

import re

from django.test import Client

from organisations.models import User
from organisations.procedures import all_procedures
from tests.people import ClientOf


def test_every_procedure_is_on_the_page_with_an_example(alice: User, client_of: ClientOf) -> None:
    page = client_of(alice).get("/api/docs").content.decode()
    names = [procedure.name for procedure in all_procedures()]
    assert len(names) > 40
    for name in names:
        assert page.count(f'id="{name.replace(".", "-")}"') == 1, name
        assert f"/api/{name}" in page
    assert "registryUrl" in page
    assert "Registries: Add" in page


def test_it_loads_nothing_from_elsewhere(alice: User, client_of: ClientOf) -> None:
    page = client_of(alice).get("/api/docs").content.decode()
    assert re.findall(r'(?:src|rel="stylesheet" href)="(?!/static/)', page) == []


def test_it_is_for_who_is_signed_in(client: Client, db: None) -> None:
    assert client.get("/api/docs").status_code == 302
