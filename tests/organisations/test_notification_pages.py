"""The pages of notification channels: what they show, what their forms do, and the test button."""

from html import unescape

import pytest
from django.db import connection

from organisations import notifying, sending
from organisations.models import Organisation, User
from organisations.notification_models import Delivery, Notice, NotificationChannel
from tests.lab.mail import MailServer
from tests.organisations.receiving import LIST, TOKEN, Receiver, add, deliver, mailboxes, make_channel, press_test, tell
from tests.people import ClientOf, allow

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_host_is_allowed", "broker")]


# The page


def test_a_service_is_added(alice: User, client_of: ClientOf) -> None:
    response = add(client_of(alice), address=f"json://chat.example.com/{TOKEN}")
    assert (response.status_code, response["Location"]) == (303, LIST)
    channel = NotificationChannel.objects.get()
    assert channel.address is not None
    assert channel.address.reveal() == f"json://chat.example.com/{TOKEN}"
    assert (channel.shown_as, channel.enabled, channel.recipients) == ("JSON at chat.example.com", True, [])


def test_mailboxes_are_added(alice: User, client_of: ClientOf, mail_server: MailServer) -> None:
    assert add(client_of(alice), how="email", recipients="ann@example.com\nben@example.com").status_code == 303
    channel = NotificationChannel.objects.get()
    assert (channel.how, channel.address, channel.shown_as) == ("email", None, "ann@example.com, ben@example.com")


def test_without_a_mail_server_email_cannot_be_saved(alice: User, client_of: ClientOf) -> None:
    response = add(client_of(alice), how="email", recipients="ann@example.com")
    assert response.status_code == 422
    assert response.context["form"].errors["how"] == [sending.NO_EMAIL]


@pytest.mark.parametrize(
    ("values", "field", "complaint"),
    [
        ({"address": ""}, "address", "Enter the address"),
        ({"address": "foo://bar"}, "address", "examples: slack://"),
        ({"how": "email", "recipients": ""}, "recipients", "Enter 1 to 20"),
        ({"how": "email", "recipients": "ann"}, "recipients", "“ann” is not an e-mail address"),
        ({"name": "", "address": "json://chat.example.com"}, "address", "Enter the address again"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    alice: User, client_of: ClientOf, mail_server: MailServer, values: dict[str, str], field: str, complaint: str
) -> None:
    response = add(client_of(alice), **values)
    assert response.status_code == 422
    assert complaint in response.context["form"].errors[field][0]
    assert not NotificationChannel.objects.exists()


def test_a_name_is_given_once(alice: User, client_of: ClientOf, channel: NotificationChannel) -> None:
    response = add(client_of(alice), address="json://chat.example.com")
    assert response.context["form"].errors["name"] == [
        "Another notification channel of this organisation has this name."
    ]


def test_editing_with_a_blank_address_keeps_the_stored_one(
    alice: User, client_of: ClientOf, channel: NotificationChannel
) -> None:
    before = (channel.address.reveal() if channel.address else "", channel.shown_as)
    client_of(alice).post(f"{LIST}{channel.pk}/edit/", {"name": "Night shift", "address": ""})
    channel.refresh_from_db()
    assert channel.address is not None
    assert (channel.address.reveal(), channel.shown_as) == before
    assert (channel.name, channel.enabled) == ("Night shift", False)


def test_an_edit_without_a_new_address_leaves_what_is_stored_meanwhile(channel: NotificationChannel) -> None:
    """Such as the same address under another key."""
    stale = NotificationChannel.objects.get(pk=channel.pk)
    notifying.save_channel(
        channel=channel, address="json://new.example.com", shown_as="JSON at new.example.com", recipients=[]
    )
    stale.name = "Renamed"
    notifying.save_channel(channel=stale, address="", shown_as="", recipients=[])
    channel.refresh_from_db()
    assert channel.shown_as == "JSON at new.example.com"
    assert channel.address is not None
    assert (channel.name, channel.address.reveal()) == ("Renamed", "json://new.example.com")


def test_a_new_address_replaces_the_stored_one(alice: User, client_of: ClientOf, channel: NotificationChannel) -> None:
    values = {"name": "On-call", "enabled": "on", "address": "gotify://push.example.com/another"}
    client_of(alice).post(f"{LIST}{channel.pk}/edit/", values)
    channel.refresh_from_db()
    assert channel.address is not None
    assert (channel.address.reveal(), channel.shown_as) == (values["address"], "Gotify at push.example.com")


def test_recipients_are_edited(
    organisation: Organisation, alice: User, client_of: ClientOf, mail_server: MailServer
) -> None:
    channel = mailboxes(organisation, "ann@example.com")
    address = f"{LIST}{channel.pk}/edit/"
    assert "ann@example.com" in client_of(alice).get(address).content.decode()
    client_of(alice).post(address, {"name": "Mail", "enabled": "on", "recipients": "ben@example.com"})
    channel.refresh_from_db()
    assert (channel.recipients, channel.shown_as) == (["ben@example.com"], "ben@example.com")


def test_a_channel_is_deleted(alice: User, client_of: ClientOf, channel: NotificationChannel) -> None:
    client = client_of(alice)
    assert "Delete On-call?" in client.get(f"{LIST}{channel.pk}/delete/").content.decode()
    assert client.post(f"{LIST}{channel.pk}/delete/")["Location"] == LIST
    assert not NotificationChannel.objects.exists()


def test_the_page_shows_what_was_told_and_how_it_arrived(
    organisation: Organisation, alice: User, client_of: ClientOf, channel: NotificationChannel, receiver: Receiver
) -> None:
    receiver.status = 500
    deliver(tell(organisation))
    page = client_of(alice).get(LIST).content.decode()
    for shown in ("Production stopped working", "Retrying", "The service answered with status 500.", "Failure"):
        assert shown in page


def test_the_page_takes_as_many_queries_for_many_channels(
    organisation: Organisation, alice: User, client_of: ClientOf
) -> None:
    from django.test.utils import CaptureQueriesContext

    client = client_of(alice)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(LIST)
        return len(captured)

    make_channel(organisation, "json://chat.example.com")
    notifying.notify(organisation=organisation, level="info", title="x", text="", path="/")
    queries()
    few = queries()
    for number in range(5):
        make_channel(organisation, "json://chat.example.com", f"Channel {number}")
        notifying.notify(organisation=organisation, level="info", title="x", text="", path="/")
    assert queries() == few


def test_an_empty_page_says_what_to_do(alice: User, bob: User, client_of: ClientOf) -> None:
    assert f"{LIST}add/" in client_of(alice).get(LIST).content.decode()
    assert "ask an owner" in client_of(bob).get(LIST).content.decode()


def test_members_look_and_change_nothing(bob: User, client_of: ClientOf, channel: NotificationChannel) -> None:
    page = client_of(bob).get(LIST).content.decode()
    assert "On-call" in page
    for word in ("Send a test", "/edit/", "/delete/"):
        assert word not in page


def test_a_member_who_may_test_may_not_delete(bob: User, client_of: ClientOf, channel: NotificationChannel) -> None:
    allow(bob, "organisations.view_notificationchannel", "organisations.change_notificationchannel")
    page = client_of(bob).get(LIST).content.decode()
    assert "Send a test" in page
    assert "/delete/" not in page


def test_the_audit_trail_says_what_was_set(
    organisation: Organisation, alice: User, client_of: ClientOf, mail_server: MailServer
) -> None:
    client = client_of(alice)
    add(client, how="email", name="Mail", recipients="ann@example.com ben@example.com")
    channel = NotificationChannel.objects.get()
    client.post(f"{LIST}{channel.pk}/edit/", {"name": "Mail", "recipients": "ben@example.com"})
    add(client, address="json://chat.example.com")
    chat = NotificationChannel.objects.get(name="On-call")
    client.post(f"{LIST}{chat.pk}/edit/", {"name": "On-call", "enabled": "on", "address": "json://chat.example.com/2"})
    page = unescape(client.get("/acme/settings/audit/").content.decode())
    for words in (
        "Recipients “ann@example.com, ben@example.com”",
        "Recipients from “ann@example.com, ben@example.com” to “ben@example.com”",
        "Switched on from “yes” to “no”",
        "A new address",
    ):
        assert words in page
    assert "[]" not in page


# The test button


def test_a_test_is_sent_without_a_reload(
    alice: User, client_of: ClientOf, channel: NotificationChannel, receiver: Receiver
) -> None:
    client = client_of(alice)
    queued = press_test(client, channel, hx_request="true").content.decode()
    assert "Queued" in queued
    assert f'hx-get="{LIST}?channel={channel.pk}"' in queued
    deliver(Delivery.objects.get())
    ended = client.get(f"{LIST}?channel={channel.pk}", headers={"hx-request": "true"}).content.decode()
    assert "hx-get" not in ended
    assert "On-call: Sent." in ended
    assert "asked for by alice" in receiver.messages[0]["message"]


def test_a_test_without_javascript_leads_back_to_the_page(
    alice: User, client_of: ClientOf, channel: NotificationChannel
) -> None:
    client = client_of(alice)
    assert press_test(client, channel)["Location"] == LIST
    assert "A test is on its way to “On-call”" in client.get(LIST).content.decode()


def test_a_test_that_fails_is_not_repeated(alice: User, channel: NotificationChannel, receiver: Receiver) -> None:
    receiver.status = 500
    delivery = deliver(notifying.send_test(channel=channel, by=alice, path=LIST))
    assert (delivery.state, delivery.error) == ("failed", "The service answered with status 500.")


def test_a_second_click_starts_no_second_test(alice: User, channel: NotificationChannel) -> None:
    first = notifying.send_test(channel=channel, by=alice, path=LIST)
    assert notifying.send_test(channel=channel, by=alice, path=LIST) == first
    assert Notice.objects.count() == 1


def test_a_channel_that_is_switched_off_can_be_tested(
    alice: User, channel: NotificationChannel, receiver: Receiver
) -> None:
    NotificationChannel.objects.update(enabled=False)
    channel.refresh_from_db()
    assert deliver(notifying.send_test(channel=channel, by=alice, path=LIST)).state == "sent"
