"""The secret address of an application's webhook, and the secret that calls of it may have to be signed with.

The key of the address has 256 random bits. It is looked up by its hash, and kept encrypted beside it so that those who
may change the application can copy the address again. The signing secret is shown once, when it is made.
"""

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from applications.models import Application
from dokreg.ids import new_link_token
from organisations import audit
from organisations.models import User, token_hash

COLUMNS = ("webhook_key", "webhook_key_hash", "webhook_secret", "webhook_takes_unsigned")


class NoWebhook(Exception):
    """The application has no webhook, so that there is nothing to sign; `str()` is a sentence for people."""


def find(key: str) -> Application | None:
    """The application whose webhook has this key."""
    rows = Application.objects.select_related("organisation", "registry", "server")
    return rows.filter(webhook_key_hash=token_hash(key)).first()


def address_of(application: Application) -> str:
    """The whole address, or "" without a webhook. Raises SecretUnreadable."""
    if application.webhook_key is None:
        return ""
    return settings.DOKREG_URL + reverse("webhook", kwargs={"key": application.webhook_key.reveal()})


@transaction.atomic
def make_key(*, application: Application, by: User) -> None:
    """Give the application a webhook, or a new address to the one that it has: the old one then leads nowhere."""
    key = new_link_token()
    is_new = application.webhook_key is None
    application.webhook_key = key
    application.webhook_key_hash = token_hash(key)
    _save(application)
    if is_new:
        audit.record("made a webhook", application, actor=by)
    else:
        audit.record("renewed a webhook", application, actor=by)


@transaction.atomic
def end_key(*, application: Application, by: User) -> None:
    """Take the webhook away, with its signing secret."""
    application.webhook_key = application.webhook_secret = None
    application.webhook_key_hash = ""
    application.webhook_takes_unsigned = False
    _save(application)
    audit.record("ended a webhook", application, actor=by)


@transaction.atomic
def make_secret(*, application: Application, by: User) -> str:
    """A new signing secret, shown by no page again; from now on calls have to be signed with it. Raises NoWebhook."""
    _check_has_webhook(application)
    secret = new_link_token()
    application.webhook_secret = secret
    _save(application)
    audit.record("made a signing secret", application, actor=by)
    return secret


@transaction.atomic
def remove_secret(*, application: Application, by: User) -> None:
    """Calls need no signature any more: the address alone is the proof."""
    application.webhook_secret = None
    application.webhook_takes_unsigned = False
    _save(application)
    audit.record("removed a signing secret", application, actor=by)


@transaction.atomic
def choose_unsigned(*, application: Application, accepted: bool, by: User) -> None:
    """Whether senders that cannot sign may call although there is a signing secret. Raises NoWebhook."""
    _check_has_webhook(application)
    application.webhook_takes_unsigned = accepted
    _save(application)
    if accepted:
        audit.record("let unsigned calls in", application, actor=by)
    else:
        audit.record("shut unsigned calls out", application, actor=by)


def _check_has_webhook(application: Application) -> None:
    if application.webhook_key is None:
        raise NoWebhook("The application has no webhook any more. Make one first.")


def _save(application: Application) -> None:
    application.save(update_fields=COLUMNS)
    # Not by save(): the trail would have the change a second time, as that of a column.
    Application.objects.filter(pk=application.pk).update(webhook_changed_at=timezone.now())
