"""Notification channels, a service that receives what is told, and what people and workers do with them."""

import json
from typing import Any

from django.test import Client

from organisations import notifying
from organisations.models import Organisation
from organisations.notification_models import Delivery, NotificationChannel
from tests.lab.impostors import Answer, HttpImpostor, Request

LIST = "/acme/settings/notifications/"
TOKEN = "marked-token-of-the-chat"


class Receiver(HttpImpostor):
    """A service that is sent JSON; it answers with `status`."""

    def __init__(self) -> None:
        super().__init__(self._receive)
        self.status = 200

    def _receive(self, _: Request) -> Answer:
        return Answer(self.status)

    @property
    def messages(self) -> list[dict[str, str]]:
        return [json.loads(request.body) for request in self.requests]


def make_channel(organisation: Organisation, address: str, name: str = "On-call", **values: Any) -> NotificationChannel:
    channel = NotificationChannel(organisation=organisation, name=name, shown_as="JSON", **values)
    channel.address = address
    channel.save()
    return channel


def mailboxes(organisation: Organisation, *recipients: str) -> NotificationChannel:
    return NotificationChannel.objects.create(
        organisation=organisation, name="Mail", how="email", recipients=list(recipients), shown_as=", ".join(recipients)
    )


def tell(organisation: Organisation) -> Delivery:
    """Tell the organisation something; its delivery to the only channel."""
    notice = notifying.notify(
        organisation=organisation,
        level="failure",
        title="Production stopped\nworking",
        text="The password was refused.",
        path="/acme/settings/registries/",
    )
    return notice.deliveries.get()


def deliver(delivery: Delivery) -> Delivery:
    """What a worker does that gets the task."""
    notifying.deliver(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def add(client: Client, **values: str) -> Any:
    return client.post(f"{LIST}add/", {"name": "On-call", "how": "apprise", "enabled": "on"} | values)


def press_test(client: Client, channel: NotificationChannel, **headers: str) -> Any:
    return client.post(f"{LIST}{channel.pk}/test/", headers=headers)
