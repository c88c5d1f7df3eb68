"""Signatures of calls: right, fresh, and used once.

dokreg's own form: `X-Dokreg-Timestamp` with the time in whole seconds since 1970, and `X-Dokreg-Signature-256` with
`sha256=` and the HMAC-SHA256, in hexadecimal, of that text, a full stop and the body. GitHub's is over the body alone:
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

import datetime as dt
import hmac
import re

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from applications.models import Application
from applications.webhook_models import WebhookSignature
from applications.webhooks.senders import Headers

WINDOW = dt.timedelta(minutes=5)
KEPT = 3 * WINDOW  # longer than any timestamp that was accepted stays acceptable
# Of a signature without a time in it, which stays right for as long as the secret is the same.
TIMELESS_KEPT = dt.timedelta(days=365)
OWN_HEADER, TIME_HEADER = "X-Dokreg-Signature-256", "X-Dokreg-Timestamp"
GITHUB_HEADER = "X-Hub-Signature-256"
_SIGNATURE = re.compile(r"sha256=(?P<hex>[0-9a-fA-F]{64})", re.ASCII)
_TIME = re.compile(r"[0-9]{1,11}", re.ASCII)


class BadSignature(Exception):
    """The call is not signed as it has to be; `str()` is a sentence for people."""


def is_signed(headers: Headers) -> bool:
    """Whether it claims to be signed in dokreg's own form."""
    return bool(headers.get(OWN_HEADER))


def is_signed_like_github(headers: Headers) -> bool:
    return bool(headers.get(GITHUB_HEADER))


def check(*, headers: Headers, body: bytes, secret: str, now: dt.datetime) -> str:
    """The signature in dokreg's own form, if it is right and fresh. Raises BadSignature."""
    sent_at = headers.get(TIME_HEADER, "")
    if not _TIME.fullmatch(sent_at):
        raise BadSignature(f"Send the time in {TIME_HEADER}, as whole seconds since 1970, and sign it with the body.")
    signature = _compared(headers.get(OWN_HEADER, ""), secret, sent_at.encode() + b"." + body)
    if abs(now.timestamp() - int(sent_at)) > WINDOW.total_seconds():
        raise BadSignature("The call was signed more than 5 minutes ago, or this clock or the sender's is wrong.")
    return signature


def check_like_github(*, headers: Headers, body: bytes, secret: str) -> str:
    """The signature in GitHub's form, if it is right. Raises BadSignature."""
    return _compared(headers.get(GITHUB_HEADER, ""), secret, body)


def use_up(*, application: Application, signature: str, now: dt.datetime, is_timeless: bool = False) -> None:
    """Note that the signature was accepted; the database lets that happen once. Raises BadSignature."""
    try:
        with transaction.atomic():
            WebhookSignature.objects.create(
                application=application, signature=signature, seen_at=now, is_timeless=is_timeless
            )
    except IntegrityError:
        raise BadSignature("A call with this signature was accepted already. Sign each call anew.") from None


def with_time(before: dt.datetime) -> "QuerySet[WebhookSignature]":
    """Accepted before a time, with one of their own in what was signed."""
    return WebhookSignature.objects.filter(is_timeless=False, seen_at__lt=before)


def timeless(before: dt.datetime) -> "QuerySet[WebhookSignature]":
    """Accepted before a time, without one of their own."""
    return WebhookSignature.objects.filter(is_timeless=True, seen_at__lt=before)


def _compared(header: str, secret: str, message: bytes) -> str:
    found = _SIGNATURE.fullmatch(header)
    expected = hmac.digest(secret.encode(), message, "sha256")
    # In bytes, since two spellings of one signature are one.
    given = bytes.fromhex(found["hex"]) if found else b""
    if not hmac.compare_digest(given, expected):
        raise BadSignature("The signature is not that of this body with the signing secret of this webhook.")
    return expected.hex()
