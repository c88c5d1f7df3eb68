"""Talks to chat and push services through apprise, in a process of its own: `python -m organisations.messenger`.

Why a process: it can be killed when its time is up, whatever hangs in it; apprise's 45 MB are in memory only while
something is sent; and nothing that a service's module logs or remembers stays. It reads one order from standard
input and writes one answer to standard output, both JSON; the address (it holds tokens) is in no command line and
no environment.

What a member may type here makes dokreg's host talk to places and, with some of apprise's modules, do things. An
audit hook judges every connection by the address it really goes to: redirects, names that change their address
and hosts hidden in parameters (`mailto://…?smtp=`) included. It also refuses to start programs, to talk to
sockets of this machine, to write into its log, and to read files other than Python's own and certificates. Its
memory is limited, and that of whoever shares the machine with it is not.
"""

import ipaddress
import json
import logging
import os
import re
import resource
import socket
import ssl
import sys
import sysconfig
from pathlib import Path
from typing import Any

from dokreg.addresses import AddressForbidden, NameNotFound, parse_networks, refuse_forbidden, resolve

SOCKET_SECONDS = 6.0
RESOLVE_SECONDS = 4.0
# Of address space: what a service answers is read whole, and unpacked, by apprise. It needs a seventh of this.
MEMORY = 512 * 1024 * 1024
STATUS = re.compile(r"error=(\d{3})\b")
# Modules of apprise that act on the machine they run on; most of them are switched off where they cannot work.
OWN_HOST_SCHEMES = frozenset({"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"})
OWN_HOST_EVENTS = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
        "sqlite3.connect",
        "subprocess.Popen",
        "syslog.openlog",
        "syslog.syslog",
    }
)
SENDING_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class Forbidden(PermissionError):
    """What an address would have done, and must not; an OSError, which network libraries pass on as such."""


class Guard:
    """Watches over everything that happens after it is put up; `found` is the first thing that it refused."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.offline = order["task"] != "send"
        self.allow_loopback: bool = order["allow_loopback"]
        self.only = parse_networks(order["allowed_networks"])
        self.found: dict[str, str] = {}
        verify = ssl.get_default_verify_paths()
        places = [*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, verify.capath, verify.cafile]
        certificates = [verify.openssl_cafile, verify.openssl_capath, os.environ.get("REQUESTS_CA_BUNDLE")]
        system = ["/etc/ssl", "/etc/mime.types", "/usr/share/zoneinfo", "/etc/localtime", "/dev/urandom", "/dev/null"]
        self.readable = tuple({Path(place).resolve() for place in [*places, *certificates, *system] if place})

    def put_up(self) -> None:
        sys.addaudithook(self.judge)

    def judge(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in OWN_HOST_EVENTS:
            self.refuse("own host")
        elif event in SENDING_EVENTS:
            self._judge_address(arguments[0], arguments[-1])
        elif event == "open":
            self._judge_file(arguments[0])

    def refuse(self, what: str, address: str = "") -> None:
        self.found = self.found or {"refused": what, "address": address}
        raise Forbidden(what)

    def _judge_address(self, sender: socket.socket, address: Any) -> None:
        if address is None:
            return  # to where it is connected already
        if self.offline:
            self.refuse("network")
        if sender.family not in {socket.AF_INET, socket.AF_INET6}:
            self.refuse("own host")
        host = str(address[0])
        try:
            if _is_address(host):
                refuse_forbidden(host, allow_loopback=self.allow_loopback, only=self.only)
            else:  # a datagram to a name, which is looked up once more when it goes
                resolve(
                    host,
                    int(address[1]),
                    deadline=RESOLVE_SECONDS,
                    allow_loopback=self.allow_loopback,
                    only=self.only,
                )
        except AddressForbidden as error:
            self.refuse("loopback" if error.loopback else "address", error.address)
        except NameNotFound as error:
            raise Forbidden("name not found") from error

    def _judge_file(self, file: Any) -> None:
        if isinstance(file, int):
            return  # open already
        path = Path(os.path.realpath(os.fsdecode(file)))
        if not any(path.is_relative_to(place) for place in self.readable):
            self.refuse("file")


class StatusListener(logging.Handler):
    """Picks the status of an HTTP answer out of what apprise logs; the texts themselves go nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.status: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if found := STATUS.search(record.getMessage()):
            self.status = int(found[1])


def fulfil(order: dict[str, Any]) -> dict[str, Any]:
    """The answer to an order.

    `{"task": "describe", "url": …}` → `{"service": "Slack", "host": ""}` or `{"service": null}` for what apprise does
    not understand; `{"task": "send", "url", "title", "text", "level": …}` → `{"sent": true}` or `{"sent": false,
    "status": 500}`, null without an answer of the service. Both orders also have "allow_loopback" and
    "allowed_networks"; both answers may have "refused" ("own host", "loopback", "address", "file") and "address".
    """
    import apprise

    guard, listener = Guard(order), StatusListener()
    log = logging.getLogger("apprise")
    log.handlers[:] = [listener]
    log.propagate = False
    if order["url"].partition(":")[0].strip().lower() in OWN_HOST_SCHEMES:
        return {"service": None, "sent": False, "refused": "own host"}
    guard.put_up()
    asset = apprise.AppriseAsset(app_id="dokreg", app_desc="dokreg", async_mode=False, http_redirects=False)
    service: Any = apprise.Apprise.instantiate(order["url"], asset=asset, suppress_exceptions=True)
    if service is None:
        return {"service": None, "sent": False, **guard.found}
    if service.url_identifier is False:  # it has no address in the network
        return {"service": None, "sent": False, "refused": "own host"}
    if order["task"] == "describe":
        return {"service": str(service.service_name), "host": _host_of(service)}
    if _send(service, order):
        return {"sent": True}
    refused = {} if listener.status else guard.found  # with an answer, the refusal was no matter
    return {"sent": False, "status": listener.status, **refused}


def _send(service: Any, order: dict[str, Any]) -> bool:
    """Whatever the address says about these: one attempt, short waits, no redirect, the truth about its end."""
    service.redirects = service.optional = False
    service.service_retry = 0
    service.socket_connect_timeout = service.socket_read_timeout = SOCKET_SECONDS
    try:
        return bool(service.notify(title=order["title"], body=order["text"], notify_type=order["level"]))
    except Exception:  # noqa: BLE001 - some modules let everything through, the guard's refusals included
        return False


def _host_of(service: Any) -> str:
    """Where the service runs, if every form of its address begins with a host; else that part may be a token."""
    if not all("{host}" in template for template in service.templates) or not service.host:
        return ""
    return f"{service.host}:{service.port}" if service.port else str(service.host)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    return True


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    order = json.load(sys.stdin)
    answer = sys.stdout
    sys.stdout = sys.stderr  # what a module prints is no answer
    answer.write(json.dumps(fulfil(order)))
    answer.flush()
    os._exit(0)  # wait for no thread that a module has left behind


if __name__ == "__main__":
    main()
