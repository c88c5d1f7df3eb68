"""Hands one message over to one channel: to a service through `organisations.messenger`, or as e-mail."""

import json
import os
import smtplib
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage

from dokreg.database import give_back
from dokreg.encryption import SecretUnreadable
from organisations.notification_models import Notice, NotificationChannel

DEADLINE = 15.0  # seconds, for a message to a service, its process included
DESCRIBE_DEADLINE = 15.0
TRY_AGAIN_LATER = {408, 425, 429}
EXAMPLES = "slack://…, discord://…, mailto://…, ntfys://…, json://…"
NO_EMAIL = (
    "E-mail is not set up on this dokreg. Whoever runs it sets DOKREG_SMTP_URL and DOKREG_EMAIL_FROM and restarts it."
)
# Of its own environment a messenger gets these: where programs are, and which certificates to trust.
PASSED_ON = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


class BadAddress(Exception):
    """An address that apprise does not understand, or that dokreg does not take; the text is for people."""


class NotSent(Exception):
    """A message did not arrive; the text says why, for people. `is_final`: another attempt would end the same way."""

    def __init__(self, words: str, *, is_final: bool = False) -> None:
        super().__init__(words)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, as plain text."""

    level: str
    title: str
    text: str
    link: str

    @classmethod
    def of(cls, notice: Notice) -> "Message":
        return cls(notice.level, notice.title, notice.text, settings.DOKREG_URL + notice.path)

    @property
    def body(self) -> str:
        return "\n\n".join(filter(None, [self.text, self.link]))


def describe(address: str) -> str:
    """What may be shown of an address: the service and, where that is no secret, its host. Raises BadAddress.

    Nothing is sent, and no name looked up.
    """
    try:
        answer = _order({"task": "describe", "url": address}, deadline=DESCRIBE_DEADLINE)
    except _NoAnswer as error:
        raise BadAddress("dokreg could not look at this address just now. Save it again.") from error
    if refused := answer.get("refused"):
        raise BadAddress(_refusal(refused, answer.get("address", "")))
    if answer["service"] is None:
        raise BadAddress(f"This is not an address that apprise understands; examples: {EXAMPLES}")
    return " at ".join(filter(None, [answer["service"], answer["host"]]))[:200]


def send(channel: NotificationChannel, message: Message) -> None:
    """Send a message once, within a deadline. Raises NotSent."""
    if channel.how == NotificationChannel.How.EMAIL:
        _send_email(channel.recipients, message)
    else:
        _send_to_service(channel, message)


def _send_to_service(channel: NotificationChannel, message: Message) -> None:
    try:
        address = channel.address.reveal() if channel.address is not None else ""
    except SecretUnreadable as error:
        raise NotSent("The stored address cannot be opened any more. Enter it again.", is_final=True) from error
    order = {
        "task": "send",
        "url": address,
        "title": message.title,
        "text": message.body,
        "level": message.level,
    }
    try:
        answer = _order(order, deadline=DEADLINE)
    except _NoAnswer as error:
        raise NotSent(str(error)) from error
    if not answer["sent"]:
        raise _why_not(answer)


def _why_not(answer: dict[str, Any]) -> NotSent:
    status = answer.get("status")
    if refused := answer.get("refused"):
        return NotSent(_refusal(refused, answer.get("address", "")), is_final=True)
    if "service" in answer:
        return NotSent("The stored address is none that apprise understands. Enter it again.", is_final=True)
    if status is None:
        return NotSent("The service could not be reached, or did not take the message. Check the address.")
    if 400 <= status < 500 and status not in TRY_AGAIN_LATER:
        words = (
            f"The service refused the message (status {status}). The address may have been revoked: enter a new one."
        )
        return NotSent(words, is_final=True)
    return NotSent(f"The service answered with status {status}.")


def _refusal(refused: str, address: str) -> str:
    if refused == "loopback":
        return f"dokreg does not talk to its own host ({address}) unless DOKREG_ALLOW_LOOPBACK is set."
    if refused == "address":
        return f"The address leads to {address}, which dokreg never talks to. Enter one of the service itself."
    if refused == "file":
        return "This address makes apprise read a file of dokreg’s own host, which is not allowed."
    return "This address acts on dokreg’s own host, which is not allowed. Enter one of a service in the network."


class _NoAnswer(Exception):
    """The messenger was killed at its deadline, or broke."""


def _order(order: dict[str, Any], *, deadline: float) -> dict[str, Any]:
    """The messenger's answer. Raises _NoAnswer, with a sentence for people."""
    order |= {
        "allow_loopback": settings.DOKREG_ALLOW_LOOPBACK,
        "allowed_networks": " ".join(map(str, settings.DOKREG_ALLOWED_NETWORKS)),
    }
    give_back()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "organisations.messenger"],
            cwd=settings.BASE_DIR,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ} | {"NETRC": os.devnull},
            input=json.dumps(order).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=deadline,
            check=False,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise _NoAnswer(f"The service did not answer within {deadline:.0f} s.") from None
    except (OSError, ValueError) as error:
        raise _NoAnswer("dokreg could not talk to the service: the process that does so broke.") from error
    return answer


def _send_email(recipients: list[str], message: Message) -> None:
    """One mail to all of them; the timeouts stand in the settings."""
    if not settings.DOKREG_SENDS_EMAIL:
        raise NotSent(NO_EMAIL, is_final=True)
    give_back()
    try:
        EmailMessage(subject=message.title, body=message.body, to=recipients).send()
    except smtplib.SMTPAuthenticationError as error:
        raise NotSent("The mail server refused the username or password in DOKREG_SMTP_URL.") from error
    except smtplib.SMTPRecipientsRefused as error:
        refused = ", ".join(sorted(error.recipients))
        is_final = all(code >= 500 for code, _words in error.recipients.values())
        raise NotSent(f"The mail server takes no mail for {refused}.", is_final=is_final) from error
    except smtplib.SMTPResponseException as error:
        words = f"The mail server answered with code {error.smtp_code}. Check DOKREG_SMTP_URL and DOKREG_EMAIL_FROM."
        raise NotSent(words) from error
    except (smtplib.SMTPException, OSError) as error:
        raise NotSent("The mail server could not be reached, or hung up. Check DOKREG_SMTP_URL.") from error
