"""The page of a webhook: who sees its address, what is shown once, and what the audit trail says."""

import re
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from applications.models import Application
from applications.webhook_models import WebhookDelivery
from applications.webhooks import keys
from dokreg import permissions
from organisations import audit
from organisations.models import AuditEntry, Organisation, User, token_hash, validate_not_reserved
from tests.applications import webhook_calls as calls
from tests.applications.rows import make_application
from tests.applications.webhook_calls import call, hooked, path_of, signed
from tests.people import ClientOf, allow
from tests.servers.rows import make_server

IMAGE = "registry.example.com/acme/web:1.4"
CONFIRM = (
    "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription"
    "&TopicArn=arn:aws:sns:eu-central-1:123456789012:images&Token=51b2ff3e"
)


@pytest.fixture
def application(organisation: Organisation, alice: User) -> Application:
    return hooked(organisation, alice, IMAGE)


@pytest.fixture
def browser(alice: User, client_of: ClientOf) -> Client:
    return client_of(alice)


def page_of(application: Application) -> str:
    return f"/acme/applications/{application.pk}/webhook/"


def seen(browser: Client, application: Application) -> str:
    answer = browser.get(page_of(application))
    assert answer.status_code == 200
    return answer.content.decode()


def text_of(page: str, name: str) -> str:
    """The text that the button beside it copies."""
    found = re.search(f'<(?:code|pre) id="{name}"[^>]*>([^<]*)<', page)
    assert found
    return found[1].replace("&#x27;", "'").replace("&quot;", '"')


def test_it_is_made_shown_renewed_and_ended(organisation: Organisation, browser: Client) -> None:
    server = make_server(organisation)
    application = make_application(organisation, server=server, registry=None, image=IMAGE)
    assert "No webhook yet" in seen(browser, application)
    addresses = []
    for _ in range(2):
        assert browser.post(f"{page_of(application)}key/").status_code == 303
        addresses.append(text_of(seen(browser, application), "webhook-address"))
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/webhooks/[\w-]{43}", addresses[0])
    assert addresses[0] != addresses[1]
    application.refresh_from_db()
    assert application.webhook_key_hash == token_hash(addresses[1].rpartition("/")[2])
    assert browser.post(f"{page_of(application)}end/").status_code == 303
    assert "No webhook yet" in seen(browser, application)
    application.refresh_from_db()
    assert (application.webhook_key, application.webhook_secret, application.webhook_key_hash) == (None, None, "")
    assert application.webhook_changed_at


def test_the_address_is_stored_as_a_hash_and_encrypted(application: Application) -> None:
    key = path_of(application).rpartition("/")[2]
    row = str(Application.objects.values().get())
    assert key not in row
    assert token_hash(key) in row


def test_the_signing_secret_is_shown_once(application: Application, browser: Client) -> None:
    answer = browser.post(f"{page_of(application)}secret/")
    assert "no-store" in answer["Cache-Control"]
    secret = text_of(answer.content.decode(), "webhook-secret")
    assert re.fullmatch(r"[\w-]{43}", secret)
    assert call(application, "{}", **signed(secret, "{}"))[0] == 200
    page = seen(browser, application)
    assert secret not in page
    assert "Stored, never shown" in page
    assert secret not in str(Application.objects.values().get())
    browser.post(f"{page_of(application)}secret/remove/")
    assert "None: the address alone is the proof" in seen(browser, application)
    assert call(application, "{}")[0] == 200


def test_a_secret_needs_a_webhook(application: Application, browser: Client, alice: User) -> None:
    keys.end_key(application=application, by=alice)
    for action in ("secret", "unsigned"):
        answer = browser.post(f"{page_of(application)}{action}/", follow=True)
        assert "has no webhook any more" in answer.content.decode()
    application.refresh_from_db()
    assert application.webhook_secret is None


def test_senders_that_cannot_sign_are_ticked(application: Application, browser: Client) -> None:
    assert "cannot sign</label>" not in seen(browser, application)
    browser.post(f"{page_of(application)}secret/")
    assert 'name="accepted" type="checkbox" aria' in seen(browser, application)
    browser.post(f"{page_of(application)}unsigned/", {"accepted": "on"})
    assert 'name="accepted" type="checkbox" checked' in seen(browser, application)
    assert call(application, calls.quay("registry.example.com", "acme/web", "1.4"))[0] == 200
    browser.post(f"{page_of(application)}unsigned/")
    assert call(application, calls.quay("registry.example.com", "acme/web", "1.4"))[0] == 401


def test_the_address_is_for_those_who_may_change_the_application(
    application: Application, bob: User, client_of: ClientOf
) -> None:
    allow(bob, *(permissions.ALL - {"applications.change_application"}))
    for path in ("", "key/", "secret/"):
        answer = client_of(bob).generic("POST" if path else "GET", page_of(application) + path)
        assert answer.status_code == 403
        assert path_of(application) not in answer.content.decode()


def test_the_page_is_kept_by_no_cache(application: Application, browser: Client) -> None:
    assert "no-store" in browser.get(page_of(application))["Cache-Control"]


def test_the_commands_name_the_whole_image(organisation: Organisation, alice: User, browser: Client) -> None:
    named = hooked(organisation, alice, IMAGE)
    assert f'{{"image": "{IMAGE}"}}' in text_of(seen(browser, named), "named-call")
    bound = hooked(organisation, alice, f"acme/web@{calls.DIGEST}", server="web-2", name="bound")
    page = seen(browser, bound)
    assert 'id="named-call"' not in page
    assert text_of(page, "signed-call").startswith("body=''\n")


def test_the_last_calls_are_shown(application: Application, browser: Client) -> None:
    assert "Nobody has called it yet" in seen(browser, application)
    call(application, calls.docker_hub("", "<b>acme</b>/web", "1.4"))
    call(application, "{")
    call(application)
    page = seen(browser, application)
    assert "It names &lt;b&gt;acme&lt;/b&gt;/web:1.4, and the application runs" in page
    assert "The body is not JSON" in page
    assert page.index("Deployment queued") < page.index("The body is not JSON") < page.index("It names")


def test_of_many_calls_the_last_twenty_in_as_many_queries(
    application: Application, browser: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        call(application, {"image": f"acme/other:{number}"})
    with django_assert_max_num_queries(12):
        page = seen(browser, application)
    assert page.count("the application runs") == 20
    assert "acme/other:29" in page
    assert "acme/other:9," not in page


def test_the_confirmation_that_amazon_asks_for_is_a_link_and_no_call(application: Application, browser: Client) -> None:
    status, answer = call(application, calls.sns("SubscriptionConfirmation", SubscribeURL=CONFIRM, Token="51b2ff3e"))
    assert (status, answer["status"]) == (200, "ignored")
    found = re.search(r'<a href="([^"]+)"[^>]*>Confirm the subscription', seen(browser, application))
    assert found
    assert found[1].replace("&amp;", "&").replace("%3A", ":") == CONFIRM
    WebhookDelivery.objects.update(created_at=WebhookDelivery.objects.get().created_at - WebhookDelivery.LINK_LIFE)
    assert "Confirm the subscription" not in seen(browser, application)


@pytest.mark.parametrize(
    "address",
    [
        CONFIRM.replace("https:", "http:"),
        CONFIRM.replace("amazonaws.com", "amazonaws.com.example.com"),
        CONFIRM.replace("sns.", "evil.example.com/sns."),
        CONFIRM.replace("sns.", "user@sns."),
        CONFIRM.replace("amazonaws.com/", "amazonaws.com:8443/"),
        CONFIRM.replace("ConfirmSubscription", "Unsubscribe"),
        CONFIRM.replace("&Token=51b2ff3e", ""),
        CONFIRM.replace("51b2ff3e", "a" * 2000),
        "https://[sns.eu-central-1.amazonaws.com",
        "javascript:alert(1)",
        "",
    ],
)
def test_a_confirmation_elsewhere_is_no_link(application: Application, browser: Client, address: str) -> None:
    assert call(application, calls.sns("SubscriptionConfirmation", SubscribeURL=address))[1]["status"] == "ignored"
    assert "Confirm the subscription" not in seen(browser, application)


def test_an_address_that_cannot_be_opened_can_be_renewed(
    organisation: Organisation, application: Application, alice: User, browser: Client
) -> None:
    from django.db import connection

    other = hooked(organisation, alice, IMAGE, server="web-2", name="api")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE applications_application SET webhook_key ="
            " (SELECT webhook_key FROM applications_application WHERE id = %s) WHERE id = %s",
            [other.pk, application.pk],
        )
    assert "cannot be opened" in seen(browser, application)
    browser.post(f"{page_of(application)}key/")
    assert text_of(seen(browser, application), "webhook-address")


def test_every_change_is_in_the_audit_trail_and_no_secret(
    application: Application, browser: Client, alice: User
) -> None:
    AuditEntry.objects.all().delete()
    secrets = [path_of(application).rpartition("/")[2]]
    for action in ("key/", "secret/", "unsigned/", "secret/remove/"):
        browser.post(page_of(application) + action, {"accepted": "on"} if action == "unsigned/" else {})
        application.refresh_from_db()
        if application.webhook_secret is not None:
            secrets.append(application.webhook_secret.reveal())
        secrets.append(path_of(application).rpartition("/")[2])
    browser.post(f"{page_of(application)}secret/")
    browser.post(f"{page_of(application)}unsigned/")
    browser.post(f"{page_of(application)}end/")
    assert [(line.who, line.what, line.thing) for line in reversed(audit.entries_of(application))] == [
        ("alice", "gave a new address to the webhook of", "web"),
        ("alice", "made a signing secret for the webhook of", "web"),
        ("alice", "let unsigned calls in to the webhook of", "web"),
        ("alice", "removed the signing secret from the webhook of", "web"),
        ("alice", "made a signing secret for the webhook of", "web"),
        ("alice", "shut unsigned calls out of the webhook of", "web"),
        ("alice", "ended the webhook of", "web"),
    ]
    entries = str(list(AuditEntry.objects.values()))
    assert len(set(secrets)) == 3
    assert not [secret for secret in secrets if secret in entries or token_hash(secret) in entries]


def test_a_call_leaves_no_line_in_the_trail(application: Application) -> None:
    before = AuditEntry.objects.count()
    call(application)
    assert AuditEntry.objects.count() == before


def test_what_workers_and_forms_write_does_not_bring_an_old_address_back(application: Application, alice: User) -> None:
    from applications import saving

    stale = Application.objects.get(pk=application.pk)
    keys.make_key(application=application, by=alice)
    keys.make_secret(application=application, by=alice)
    keys.choose_unsigned(application=application, accepted=True, by=alice)
    stale.memory_mb = 64
    saving.save_application(application=stale, environment=None)
    now = Application.objects.get(pk=application.pk)
    assert (now.memory_mb, now.webhook_key_hash) == (64, application.webhook_key_hash)
    assert now.webhook_takes_unsigned
    assert now.webhook_secret is not None


def test_no_organisation_has_the_address_of_webhooks() -> None:
    with pytest.raises(ValidationError):
        validate_not_reserved("webhooks")
