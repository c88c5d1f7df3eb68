"""A call of an application's webhook: who may, what it names, and whether that is a reason to deploy."""

import datetime as dt
import json
import logging
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from applications import deploying
from applications.models import Application, Deployment
from applications.webhook_models import WebhookDelivery
from applications.webhooks import deliveries, matching, senders, signatures
from applications.webhooks.senders import Headers, Payload, PushedImage, Sender
from applications.webhooks.signatures import BadSignature
from dokreg.encryption import SecretUnreadable
from registries.references import Reference, parse

log = logging.getLogger(__name__)
MOST_BYTES = 256 * 1024
MOST_NAMED = 3
Outcome = WebhookDelivery.Outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets: an HTTP status, a small JSON object, and after how many seconds to come again."""

    status: int
    words: dict[str, str]
    retry_after: int = 0


class Refused(Exception):
    """The call is not taken; `str()` is a sentence for people."""

    def __init__(self, status: int, words: str, retry_after: int = 0) -> None:
        super().__init__(words)
        self.status = status
        self.retry_after = retry_after


@dataclass(slots=True)
class _Call:
    """One call while it is read."""

    application: Application
    headers: Headers
    body: bytes
    now: dt.datetime
    sender: Sender | None = None
    images: list[PushedImage] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, Any]:
        """What its delivery says of it."""
        return {
            "application": self.application,
            "now": self.now,
            "sender": self.sender.name if self.sender else "",
            "named": in_words(self.images),
        }


def receive(*, application: Application, headers: Headers, body: bytes, now: dt.datetime) -> Answer:
    """Take a call and note what came of it. An empty body deploys what the application's settings name.

    `headers` are read regardless of case; `body` may be cut off after MOST_BYTES + 1 bytes.
    """
    if wait := deliveries.seconds_to_wait(application=application, now=now):
        # Not noted, so that whoever goes on calling does not push the others out of the history.
        return Answer(429, {"error": "This webhook is called too often. Wait a minute."}, retry_after=wait)
    call = _Call(application, headers, body, now)
    try:
        # Together: a signature counts as used only if what it was for is done.
        with transaction.atomic():
            return _taken(call)
    except Refused as refusal:
        deliveries.note(outcome=Outcome.REFUSED, words=str(refusal), **call.facts)
        return Answer(refusal.status, {"error": str(refusal)}, retry_after=refusal.retry_after)


def in_words(images: list[PushedImage]) -> str:
    """The images that were named, as far as a line holds them."""
    more = f" and {len(images) - MOST_NAMED} more" if len(images) > MOST_NAMED else ""
    return ", ".join(image.name for image in images[:MOST_NAMED]) + more


def _taken(call: _Call) -> Answer:
    if len(call.body) > MOST_BYTES:
        raise Refused(413, f"The body is longer than {MOST_BYTES // 1024} KB.")
    payload = _proven_payload(call)
    if not payload:
        call.sender = senders.CI
        return _deploy(call, None)
    if call.sender is None:
        return _ignore(call, "It has no shape that dokreg knows.")
    if link := call.sender.confirmation(payload):
        words = "Amazon SNS wants its subscription confirmed. The link is on the webhook's page in dokreg."
        return _ignore(call, words, link=link)
    call.images = call.sender.images(call.headers, payload)
    if not call.images:
        return _ignore(call, call.sender.silence)
    runs = _reference_of(call.application)
    found = next((one for one in call.images if matching.matches(image=one, runs=runs, home=call.sender.home)), None)
    if found is None:
        return _ignore(call, _why_none_matches(call.images, runs))
    call.images = [found]
    return _deploy(call, found)


def _proven_payload(call: _Call) -> Payload:
    """The body as an object, {} for none, if the caller may call. Raises Refused."""
    secret = _secret_of(call.application)
    if secret and signatures.is_signed(call.headers):
        signature = _checked(signatures.check, headers=call.headers, body=call.body, secret=secret, now=call.now)
        payload = _read(call)
        _checked(signatures.use_up, application=call.application, signature=signature, now=call.now)
        return payload
    try:
        payload = _read(call)
    except Refused:
        if secret:
            raise _unsigned() from None
        raise
    if secret:
        _prove_otherwise(call, secret)
    return payload


def _prove_otherwise(call: _Call, secret: str) -> None:
    """By GitHub's signature, or by being one of those that cannot sign, if they are let in. Raises Refused."""
    if call.sender and call.sender.signs_like_github and signatures.is_signed_like_github(call.headers):
        signature = _checked(signatures.check_like_github, headers=call.headers, body=call.body, secret=secret)
        once = {"application": call.application, "signature": signature, "now": call.now}
        _checked(signatures.use_up, **once, is_timeless=True)
    elif call.sender is None or call.sender.can_sign or not call.application.webhook_takes_unsigned:
        raise _unsigned()


def _checked(check: Any, **arguments: Any) -> Any:
    try:
        return check(**arguments)
    except BadSignature as error:
        raise Refused(401, str(error)) from None


def _unsigned() -> Refused:
    return Refused(401, "The call has to be signed with the signing secret of this webhook; its page says how.")


def _secret_of(application: Application) -> str:
    """The signing secret; "" if there is none. Raises Refused."""
    if application.webhook_secret is None:
        return ""
    try:
        return application.webhook_secret.reveal()
    except SecretUnreadable as error:
        log.error("The signing secret of application %s cannot be opened: %s", application.pk, error)  # noqa: TRY400
        raise Refused(503, "The signing secret of this webhook cannot be opened. Make a new one in dokreg.") from None


def _read(call: _Call) -> Payload:
    """The body as an object, and whose it is; {} for an empty one. Raises Refused."""
    if not call.body.strip():
        return {}
    try:
        payload = json.loads(call.body)
    except (ValueError, RecursionError):
        raise Refused(400, "The body is not JSON. Send it as application/json, or send none.") from None
    if not isinstance(payload, dict):
        raise Refused(400, "The body is JSON, but not an object.")
    call.sender = senders.recognise(call.headers, payload)
    return payload


def _reference_of(application: Application) -> Reference:
    try:
        return parse(deploying.reference_of(application))
    except deploying.CannotDeploy as error:
        raise Refused(409, str(error)) from error


def _why_none_matches(images: list[PushedImage], runs: Reference) -> str:
    if runs.digest:
        return f"The application is bound to a digest, {runs}, which no push changes."
    if not any(image.tag for image in images):
        return "It names no tag, so that it is not known which image has changed."
    return f"It names {in_words(images)}, and the application runs {runs}."


def _ignore(call: _Call, words: str, *, link: str = "") -> Answer:
    deliveries.note(outcome=Outcome.IGNORED, words=words, link=link, **call.facts)
    return Answer(200, {"status": "ignored", "reason": deliveries.shown(words)})


def _deploy(call: _Call, image: PushedImage | None) -> Answer:
    sender = call.sender.name if call.sender else ""
    note = f"{sender} named {image}" if image else f"{sender} called"
    try:
        deployment = deploying.ask(
            application=call.application,
            asked_by=None,
            reason=Deployment.Reason.WEBHOOK,
            note=deliveries.shown(note),
        )
    except deploying.CannotDeploy as error:
        raise Refused(409, str(error)) from error
    deliveries.note(outcome=Outcome.QUEUED, words="", deployment=deployment, **call.facts)
    return Answer(200, {"status": "queued", "deployment": deployment.pk})
