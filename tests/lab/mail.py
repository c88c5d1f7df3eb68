"""A mail server that keeps what it is given."""

import email
import email.policy
import socket
from email.message import EmailMessage
from typing import TextIO

from tests.lab.impostors import TcpImpostor


class MailServer(TcpImpostor):
    """Speaks as much SMTP as is needed to hand in a mail; has no mailbox for `unknown`, and knows no password."""

    def __init__(self, *, unknown: str = "") -> None:
        super().__init__()
        self.unknown = unknown
        self.mails: list[tuple[list[str], EmailMessage]] = []

    def talk(self, connection: socket.socket) -> None:
        with connection.makefile("rw", newline="\r\n", encoding="utf-8") as line:
            recipients: list[str] = []
            _say(line, "220 a mail server")
            while order := line.readline().strip():
                word = order.split(" ")[0].upper()
                if word == "RCPT":
                    recipients.append(order.partition("<")[2].partition(">")[0])
                elif word == "DATA":
                    _say(line, "354 go on")
                    self.mails.append((recipients, _message(line)))
                _say(line, self._answer(word, recipients))

    def _answer(self, word: str, recipients: list[str]) -> str:
        if word == "RCPT" and recipients[-1] == self.unknown:
            return "550 no such mailbox"
        return {"EHLO": "250-a mail server\r\n250 AUTH PLAIN", "AUTH": "535 wrong password"}.get(word, "250 fine")


def _say(line: TextIO, words: str) -> None:
    line.write(f"{words}\r\n")
    line.flush()


def _message(line: TextIO) -> EmailMessage:
    """What follows DATA, to the line with the dot alone."""
    text = ""
    while (part := line.readline()) != ".\r\n":
        text += part.removeprefix(".") if part.startswith("..") else part
    return email.message_from_string(text, policy=email.policy.default)
