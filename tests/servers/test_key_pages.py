"""The pages of SSH keys: a private key goes in, and never out."""

from typing import Any

import pytest
from django.urls import reverse

from organisations.models import AuditEntry, Organisation, User
from servers.models import SSHKey
from tests.people import ClientOf
from tests.servers.rows import PAIR, make_key, make_server

pytestmark = pytest.mark.django_db
PRIVATE_BODY = PAIR.private.splitlines()[3]


def url(name: str, **ids: str) -> str:
    return reverse(f"servers:key_{name}", kwargs={"organisation": "acme"} | ids)


def text_of(response: Any) -> str:
    return str(response.content.decode())


def test_the_list_shows_fingerprint_type_and_use(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    key = make_key(organisation)
    for number in range(3):
        make_server(organisation, f"web-{number}", ssh_key=key)
    page = text_of(client_of(alice).get(url("list")))
    for shown in ("deploy", key.fingerprint, "Ed25519", '<td class="number" data-label="Servers">3</td>'):
        assert shown in page


def test_an_empty_list_says_what_to_do(alice: User, client_of: ClientOf) -> None:
    assert url("add") in text_of(client_of(alice).get(url("list")))


def test_a_key_is_generated(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    response = client_of(alice).post(url("add"), {"name": "deploy", "source": "generate"})
    key = SSHKey.objects.get()
    assert response["Location"] == key.get_absolute_url()
    assert key.public_key.startswith("ssh-ed25519 ")
    assert key.private_key.reveal().startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_a_key_is_pasted(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    values = {"name": "deploy", "source": "paste", "private_key": PAIR.private.replace("\n", "\r\n")}
    assert client_of(alice).post(url("add"), values).status_code == 303
    assert SSHKey.objects.get().public_key == PAIR.public


def test_a_pasted_key_that_does_not_do_is_explained_at_its_field(alice: User, client_of: ClientOf) -> None:
    values = {"name": "deploy", "source": "paste", "private_key": PAIR.public}
    response = client_of(alice).post(url("add"), values)
    assert response.status_code == 422
    assert "public half" in response.context["form"].errors["private_key"][0]


def test_a_pasted_key_is_not_sent_back_and_the_page_says_so(alice: User, client_of: ClientOf) -> None:
    response = client_of(alice).post(url("add"), {"name": "", "source": "paste", "private_key": PAIR.private})
    assert response.status_code == 422
    assert "Paste the private key again" in text_of(response)
    assert PRIVATE_BODY not in text_of(response)


def test_a_pasted_key_is_not_replaced_by_a_generated_one(alice: User, client_of: ClientOf) -> None:
    values = {"name": "deploy", "source": "generate", "private_key": PAIR.private}
    response = client_of(alice).post(url("add"), values)
    assert response.status_code == 422
    assert "You pasted a key below" in text_of(response)


def test_a_name_is_given_once(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    make_key(organisation)
    response = client_of(alice).post(url("add"), {"name": "deploy", "source": "generate"})
    assert response.status_code == 422
    assert response.context["form"].errors["name"] == ["Another SSH key of this organisation has this name."]


def test_the_page_of_a_key_shows_the_command_for_the_server(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    key = make_key(organisation)
    make_server(organisation, ssh_key=key)
    page = text_of(client_of(alice).get(url("detail", key_id=key.pk)))
    assert f"echo &#x27;{key.authorized_line}&#x27; &gt;&gt; ~/.ssh/authorized_keys" in page
    assert key.fingerprint in page
    assert "web-1" in page


def test_the_private_key_is_in_no_page(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    key = make_key(organisation)
    client = client_of(alice)
    for address in [url("list"), *(url(name, key_id=key.pk) for name in ("detail", "edit", "delete"))]:
        response = client.get(address)
        assert response.status_code == 200
        assert "PRIVATE KEY" not in text_of(response)
        assert PRIVATE_BODY not in text_of(response)


def test_the_private_key_is_not_in_the_audit_trail(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    values = {"name": "deploy", "source": "paste", "private_key": PAIR.private}
    client_of(alice).post(url("add"), values)
    entries = [str([entry.changes, entry.additional_data]) for entry in AuditEntry.objects.all()]
    assert any("deploy" in entry for entry in entries)
    assert not any(PRIVATE_BODY in entry for entry in entries)


def test_a_key_is_renamed_and_stays_the_same(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    key = make_key(organisation)
    client_of(alice).post(url("edit", key_id=key.pk), {"name": "production", "private_key": "x"})
    key.refresh_from_db()
    assert (key.name, key.private_key.reveal()) == ("production", PAIR.private)


def test_a_used_key_is_not_deleted(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    key = make_key(organisation)
    make_server(organisation, ssh_key=key)
    client = client_of(alice)
    assert "server web-1" in text_of(client.get(url("delete", key_id=key.pk)))
    response = client.post(url("delete", key_id=key.pk))
    assert response.status_code == 422
    assert "server web-1" in text_of(response)
    assert SSHKey.objects.exists()


def test_an_unused_key_is_deleted(organisation: Organisation, alice: User, client_of: ClientOf) -> None:
    key = make_key(organisation)
    client = client_of(alice)
    assert "Delete deploy?" in text_of(client.get(url("delete", key_id=key.pk)))
    assert client.post(url("delete", key_id=key.pk))["Location"] == url("list")
    assert not SSHKey.objects.exists()


@pytest.mark.parametrize("name", ["detail", "edit", "delete"])
def test_a_key_of_another_organisation_is_not_found(
    organisation: Organisation, alice: User, client_of: ClientOf, name: str
) -> None:
    foreign = make_key(Organisation.objects.create(name="Other", slug="other"))
    assert client_of(alice).get(url(name, key_id=foreign.pk)).status_code == 404


@pytest.mark.parametrize("name", ["add", "edit", "delete"])
def test_a_member_may_look_alone(organisation: Organisation, bob: User, client_of: ClientOf, name: str) -> None:
    ids = {} if name == "add" else {"key_id": make_key(organisation).pk}
    client = client_of(bob)
    assert client.get(url("list")).status_code == 200
    allowed = bob.has_perm(f"servers.{'change' if name == 'edit' else name}_sshkey", organisation)
    assert client.get(url(name, **ids)).status_code == (200 if allowed else 403)
